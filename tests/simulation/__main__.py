"""`make simulate SEEDS=FROM-TO`: both storms of each seed, over all cores; of one seed alone their traces."""

import sys
import time
from multiprocessing import Pool

from tests.simulation.flips import flips
from tests.simulation.storm import Storm, broken, storm, trace

MOST_FAILURES = 10


def storms(seed: int) -> tuple[Storm, Storm]:
    """The storms of a seed: of all that may happen, and of two-phase flips among it."""
    return storm(seed), flips(seed)


def fails(seed: int) -> int | None:
    """The seed, when one of its storms breaks an invariant."""
    return seed if any(map(broken, storms(seed))) else None


def replay(seed: int) -> None:
    """What happens in a seed's storms, if one breaks."""
    found = [trace(each) for each in storms(seed) if broken(each)]
    print("\n".join(found) or f"seed {seed}: nothing breaks")


def main(words: list[str]) -> int:
    first, _, last = (words[0] if words else "1-20000").partition("-")
    if not last:
        replay(int(first))
        return 0
    began_s, failed, seeds = time.monotonic(), [], range(int(first), int(last) + 1)
    with Pool() as pool:
        for seed in pool.imap_unordered(fails, seeds, chunksize=50):
            if seed is not None:
                failed.append(seed)
                print(f"seed {seed} breaks", flush=True)
                if len(failed) >= MOST_FAILURES:
                    pool.terminate()
                    break
    took_s = time.monotonic() - began_s
    print(f"{len(seeds)} seeds, {len(failed)} broken, {took_s:.0f} s, {2 * len(seeds) / took_s:.0f} storms/s")
    if failed:
        replay(min(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
