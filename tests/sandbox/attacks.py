"""Programs that mean harm, each with what would show that it did any. All are to fail their test and leave nothing.

Used by the tests of every sandbox whose trust is high, and by the benchmark, which measures in the same mode.
"""

from __future__ import annotations

TEST = "assert f(2) == 4"
RIGHT = "def f(x):\n    return 2 * x\n"
WRONG = "\ndef f(x):\n    return 5\n"

HARMFUL = {
    "fork bomb": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "memory bomb": """
a = []
while True:
    a.append(bytearray(10**7))
""",
    "memory bomb in children": """
import os
for _ in range(50):
    try:
        if os.fork() == 0:
            b = bytearray(4 * 10**8)
            b[::4096] = b'x' * len(b[::4096])
            while True: pass
    except (OSError, MemoryError):
        pass
""",
    "disk fill": """
n = 0
while True:
    with open(f'/tmp/{n}', 'wb') as f:
        f.write(b'x' * 10**6)
    n += 1
""",
    "disk fill in shared memory": """
with open('/dev/shm/x', 'wb') as f:
    while True:
        f.write(b'x' * 10**6)
""",
    "endless output": """
while True:
    print('x' * 10**6)
""",
    "endless loop": """
while True:
    pass
""",
    "sleep": """
import time
time.sleep(10**6)
""",
    "endless recursion": """
def g():
    return g()
g()
""",
    "deep nesting": """
exec('(' * 10**5)
""",
    "network": """
import socket
for host in ('127.0.0.1', '10.0.0.1', '1.1.1.1'):
    s = socket.socket()
    s.settimeout(1)
    try:
        s.connect((host, 80))
    except OSError:
        continue
    f = lambda x: 4
""",
    "host's files": """
import glob
known = ['/etc/passwd', '/etc/shadow', '/root/.bashrc']
for p in [*known, *glob.glob('/home/*/*'), *glob.glob('/root/*')]:
    try:
        open(p).read()
    except OSError:
        continue
    f = lambda x: 4
""",
    "host's environment": """
import os
if os.environ.get('PLANTED') or b'PLANTED' in open('/proc/1/environ', 'rb').read():
    f = lambda x: 4
""",
    "signals to everybody": """
import os, signal
os.kill(-1, signal.SIGKILL)
""",
    "signal to the parent": """
import os, signal
for pid in {os.getppid(), 1, os.getpgid(0)}:
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        pass
""",
    "symbolic links": """
import os
os.symlink('/proc/1/root/etc/passwd', '/tmp/link')
try:
    if open('/tmp/link').read():
        f = lambda x: 4
except OSError:
    pass
""",
    "other processes in /proc": """
import os
others = [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 20]
if others:
    f = lambda x: 4
""",
    "writing to the system": """
for p in ('/usr/bin/python3', '/usr/lib/x', '/x', '/etc/x', '/dev/x', '/proc/sys/kernel/core_pattern'):
    try:
        open(p, 'ab').write(b'x')
    except OSError:
        continue
    f = lambda x: 4
""",
    "ptrace": """
import ctypes
libc = ctypes.CDLL(None)
if libc.ptrace(16, 1, 0, 0) == 0:
    f = lambda x: 4
""",
    "mounting": """
import ctypes
libc = ctypes.CDLL(None)
if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0:
    f = lambda x: 4
""",
    "sleeping grandchildren": """
import os, time
for _ in range(2):
    try:
        if os.fork() == 0:
            os.setsid()
            time.sleep(10**6)
    except OSError:
        pass
""",
    "an object that equals everything": """
class E(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(x):
    return E(7)
""",
    "a list of such objects": """
class E:
    def __eq__(self, other): return True
def f(x):
    return E()
""",
    "leaving early": """
import sys
sys.exit(0)
""",
    "leaving early when called": """
import os
def f(x):
    os._exit(0)
""",
    "raising what ends tests": """
def f(x):
    raise SystemExit(0)
""",
    "a fake verdict": r"""
import os
for fd in range(64):
    try:
        os.write(fd, b'{"verdict": true, "why": "all tests pass"}\n')
    except OSError:
        pass
""",
    "patching the checker in its own process": r"""
import builtins, json, sys
json.dumps = lambda *a, **k: '{"value": 4}'
builtins.AssertionError = ValueError
m = sys.modules['__main__']
for name in dir(m):
    if name.startswith('_answer'):
        setattr(m, name, lambda *a: b'{"verdict": true}\n')
def f(x):
    return 5
""",
    "answers that are no answers": """
import os
os.write(1, b'{' * 10**7)
def f(x):
    return 5
""",
    "a number where a reply is due": r"""
import os
for fd in range(64):
    try:
        os.write(fd, b'5\n')
    except OSError:
        pass
""",
    "a reply nested too deeply to read": r"""
import os
for fd in range(64):
    try:
        os.write(fd, b'[' * 50000 + b'\n')
    except OSError:
        pass
""",
    "closing its files": """
import os
os.closerange(0, 256)
""",
    "stopping itself": """
import os, signal
def f(x):
    os.kill(os.getpid(), signal.SIGSTOP)
    return 5
""",
    "another program in its place": r"""
import os
os.execv('/bin/sh', ['sh', '-c', 'while :; do for d in 1 3 4 5; do echo "{\\"value\\": 4}" >&$d; done; done'])
""",
    "values under another tag": """
import sys
sys.modules['__main__'].encode = lambda *a, **k: {'T': 'exec'}
def f(x):
    return 5
""",
    "a handle that nobody gave": """
import sys
sys.modules['__main__'].encode = lambda *a, **k: {'h': -1}
def f(x):
    return 5
""",
    "raising its limits": """
import resource
for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
    try:
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass
x = bytearray(3 * 10**9)
f = lambda x: 4
""",
    "a namespace of its own": """
import ctypes, os
libc = ctypes.CDLL(None)
if libc.unshare(0x10000000) == 0 and libc.mount(b'proc', b'/tmp', b'proc', 0, None) == 0:
    f = lambda x: 4
""",
    "memory in files without a name": """
import os
kept = []
while True:
    kept.append(os.memfd_create('x'))
    for _ in range(10_000):
        os.write(kept[-1], b'x' * 10**6)
""",
    "a shout that never ends a line": """
import os
while True:
    for fd in range(3, 10):
        try:
            os.write(fd, b'x')
        except OSError:
            pass
""",
    "sleeping while its children work": """
import os, time
for _ in range(3):
    try:
        if os.fork() == 0:
            os.nice(-5 if os.getuid() == 0 else 0)
            while True: pass
    except OSError:
        pass
os.nice(19)
time.sleep(10**6)
""",
    "reading the tests": """
import gc
found = [o for o in gc.get_objects() if isinstance(o, dict) and 'tests' in o]
if found:
    f = lambda x: 4
""",
}
"""Name → program. It defines an `f` that returns 4 only where the attack had its way."""


def program(name: str) -> str:
    """The program, with an `f` that is wrong before it."""
    return WRONG + HARMFUL[name]
