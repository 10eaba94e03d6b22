"""The stable codes behind every `because`. Each is a heading in docs/runbook.md."""

from enum import StrEnum


class Because(StrEnum):
    """Why a node does what it does, or why it does nothing. People script against these words."""

    STARTING = "starting"
    FLIPPING = "flipping"
    CONVERGED = "converged"
    PROBATION = "probation"
    LIVE_WEAK = "live-weak"
    PAUSED = "paused"
    AUTO_OFF = "auto-off"
    AFTER_REVERT = "after-revert"
    REVERT_NO_GOOD = "revert-no-good"
    REVERT_RELEASE_CHANGED = "revert-release-changed"
    REVERT_TARGET_DOWN = "revert-target-down"
    REVERT_WAITING_QUORUM = "revert-waiting-quorum"
    REVERTING = "reverting"
    FALLBACK_SERVING = "fallback-serving"
    NO_LIVE_KEY = "no-live-key"
    BAD_LIVE_VALUE = "bad-live-value"
    PREPARING = "preparing"
    PREPARED = "prepared"
    TARGET_NOT_READY = "target-not-ready"
    TOO_FEW_BACKENDS = "too-few-backends"
    MIXED_RELEASES = "mixed-releases"
    RELEASE_REJECTED = "release-rejected"
    WISH_EXPIRED = "wish-expired"
    PROXY_LOST = "proxy-lost"
    CHECK_FAILED = "check-failed"
    RELOAD_FAILED = "reload-failed"
    NOT_PROVED = "not-proved"
    TOO_MANY_OLD_WORKERS = "too-many-old-workers"
    STORE_LOST = "store-lost"
    STORE_DENIED = "store-denied"
    STORE_REWOUND = "store-rewound"
    # Said by bgctl about nodes and operators other than the one it speaks for:
    NODE_SILENT = "node-silent"
    SUPERSEDED = "superseded"
    FLIP_IN_PROGRESS = "flip-in-progress"


CALM = (Because.CONVERGED, Because.PROBATION, Because.LIVE_WEAK)
"""Live is served, and nothing is waited for that somebody must do."""
