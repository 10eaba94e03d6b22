"""The stable codes behind every `because`. Each is a heading in docs/runbook.md."""

from enum import StrEnum


class Because(StrEnum):
    """Why a node does what it does, or why it does nothing. People script against these words."""

    STARTING = "starting"
    FLIPPING = "flipping"
    CONVERGED = "converged"
    LIVE_WEAK = "live-weak"
    AUTO_OFF = "auto-off"
    NO_LIVE_KEY = "no-live-key"
    BAD_LIVE_VALUE = "bad-live-value"
    TARGET_NOT_READY = "target-not-ready"
    TOO_FEW_BACKENDS = "too-few-backends"
    MIXED_RELEASES = "mixed-releases"
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
