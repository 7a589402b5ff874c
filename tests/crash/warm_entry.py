"""Stands for `python -m MODULE`: has it run in a child of the warm process, and ends as that does.

Run with `-I -S`, for a start of a few milliseconds.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
    end.connect(sys.argv[1])
    request = {"module": sys.argv[2], "cwd": os.getcwd(), "environ": dict(os.environ)}
    socket.send_fds(end, [json.dumps(request).encode()], [0, 1, 2])
    # Only the child is to keep the connections of its controller.
    for number in range(3):
        os.close(number)
    os._exit(int(end.recv(16) or b"70"))
