"""Run as a script: starts a server, and ends it when whoever asked for it is gone, however that went.

    python watched.py FD WORD…

FD is the reading end of a pipe that its parent holds open: a parent that is killed closes it without a word. The server
and its workers are of this process's group. Ends with the server's own code; imports nothing of ours, to be small.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

TO_STOP = 20.0
"""Seconds that the server has to end by itself."""


def main(pipe: int, words: Sequence[str]) -> None:
    """Until the server or the parent ends."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # asked of the whole group: the server ends, and then this
    server, alone = subprocess.Popen(words), threading.Event()
    threading.Thread(target=_end_with, args=(server, alone), daemon=True).start()
    while os.read(pipe, 1):
        pass
    alone.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(TO_STOP)  # the thread ends this process as soon as the server has ended
    os.killpg(0, signal.SIGKILL)


def _end_with(server: subprocess.Popen[bytes], alone: threading.Event) -> None:
    code = server.wait()
    if alone.is_set():
        os.killpg(0, signal.SIGKILL)  # workers may outlive the server, and nobody else is left to end them
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
