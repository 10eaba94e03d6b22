"""`make simulate SEEDS=FROM-TO`: storms over all cores; one seed alone is replayed with its trace."""

import sys
import time
from multiprocessing import Pool

from tests.simulation.storm import broken, storm, trace


def fails(seed: int) -> int | None:
    """The seed, when its storm breaks an invariant."""
    return seed if broken(storm(seed)) else None


def main(words: list[str]) -> int:
    first, _, last = (words[0] if words else "1-20000").partition("-")
    if not last:
        print(trace(storm(int(first))) if fails(int(first)) else f"seed {first}: nothing breaks")
        return 0
    began_s, failed, seeds = time.monotonic(), [], range(int(first), int(last) + 1)
    with Pool() as pool:
        for seed in pool.imap_unordered(fails, seeds, chunksize=50):
            if seed is not None:
                failed.append(seed)
                print(f"seed {seed} breaks", flush=True)
                if len(failed) >= 10:
                    pool.terminate()
                    break
    took_s = time.monotonic() - began_s
    print(f"{len(seeds)} storms, {len(failed)} broken, {took_s:.0f} s, {len(seeds) / took_s:.0f} storms/s")
    if failed:
        print(trace(storm(min(failed))))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
