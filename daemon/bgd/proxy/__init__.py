"""The proxy of this host, whichever it is: render, check, swap, apply, prove, restore."""
