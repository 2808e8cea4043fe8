"""A small HTTP server with byte ranges and faults: range_server.py FOLDER PORT_FILE LOG_FILE.

The first part of a path says how the file is served:
  /plain/F     with ranges               /whole/F  without ranges: always all of it, with status 200
  /cut/F       the connection is closed half way through what was asked for
  /stall/F     half of it, then nothing until the client goes away
Anything else is 404. Every request appends "PATH RANGE" to the log.
"""
import http.server
import os
import re
import sys
import time

folder, port_file, log_file = sys.argv[1:4]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range", "-")
        with open(log_file, "a") as log:
            log.write(f"{self.path} {asked}\n")
        mode, _, name = self.path.lstrip("/").partition("/")
        path = os.path.join(folder, name)
        if mode not in ("plain", "whole", "cut", "stall") or not os.path.isfile(path):
            return self.send_error(404)
        with open(path, "rb") as file:
            content = file.read()
        size = len(content)
        match = re.fullmatch(r"bytes=(\d+)-", asked)
        begin = int(match[1]) if match and mode != "whole" else 0
        if begin >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        end = begin + (size - begin) // 2 if mode in ("cut", "stall") else size
        self.wfile.write(content[begin:end])
        self.wfile.flush()
        if mode == "stall":
            time.sleep(60)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(port_file + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(port_file + ".new", port_file)
server.serve_forever()
