"""The machine around bgd: its disk, its clock, its log, its service manager, and probes of backends."""
