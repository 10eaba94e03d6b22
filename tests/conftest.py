"""What holds for every test, wherever it is run from.

Who is started in the background is deaf to Ctrl-C, and so would be all that the tests start and interrupt.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
