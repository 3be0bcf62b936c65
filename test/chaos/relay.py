"""
Network namespaces with one host each, and a relay of IP packets between them: every packet of host
10.77.0.I arrives at its TUN device here, waits, and goes on to the device of whom it is for, late,
out of order or never, as the seed says for that direction of that link.

    python3 relay.py SEED HOSTS

Says one line of JSON when it is ready, with the process that keeps each namespace. Takes lines:
`cut I J` and `heal I J`. At the end of its input it says what it has done, and everything is gone.
Standard library only, and Python because a TUN device needs ioctl.
"""
import array
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP_RUNNING = 0x41
DEVICE = b"inos0"

# Seconds of the longest way, share of packets, and packets that may be on their way in all.
DELAY_MIN, DELAY_MAX = 0.010, 0.300
LOSS_MAX, LATE_MAX = 0.05, 0.02
JITTER, LATENESS = 0.02, 0.05
QUEUE_MAX = 20_000


def set_up(name, address):
    """Give a device of this namespace its address and start it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        def ask(request, argument):
            fcntl.ioctl(s, request, struct.pack("16s", name) + argument.ljust(24, b"\0"))
        if address is not None:
            for request, text in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.0")):
                ask(request, struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(text)))
        ask(SIOCSIFFLAGS, struct.pack("=H", IFF_UP_RUNNING))


def keep_host(at, link):
    """In a process of its own: a namespace whose device is handed to the relay, until the relay is gone."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", DEVICE, IFF_TUN | IFF_NO_PI))
    set_up(b"lo", None)
    set_up(DEVICE, f"10.77.0.{at + 1}")
    link.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [device]))])
    os.close(device)
    link.recv(1)


def open_host(at, links):
    """@returns the device and the process that keeps its namespace"""
    mine, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        # An end that a later host has inherited would keep an earlier one alive.
        for link in [mine, *links]:
            link.close()
        try:
            keep_host(at, theirs)
        except OSError as error:
            print(f"host {at}: {error}", file=sys.stderr, flush=True)
        os._exit(0)
    theirs.close()
    links.append(mine)
    _, rights, _, _ = mine.recvmsg(1, socket.CMSG_SPACE(4))
    if not rights:
        raise SystemExit("no namespaces or TUN devices here")
    return struct.unpack("i", rights[0][2][:4])[0], pid


class Way:
    """One direction of a link."""

    def __init__(self, seed, source, target):
        self.chance = random.Random(f"{seed}/{source}/{target}")
        self.delay = self.chance.uniform(DELAY_MIN, DELAY_MAX - JITTER - LATENESS)
        self.loss = self.chance.uniform(0, LOSS_MAX)
        self.late = self.chance.uniform(0, LATE_MAX)
        self.due = 0.0

    def when(self, now):
        """When a packet arrives, and whether others may overtake it; None: never."""
        if self.chance.random() < self.loss:
            return None, False
        due = max(self.due, now + self.delay + self.chance.uniform(0, JITTER))
        if self.chance.random() < self.late:
            return due + self.chance.uniform(0, LATENESS), True
        self.due = due
        return due, False


class Relay:
    def __init__(self, seed, devices):
        self.devices = devices
        self.ways = {(i, j): Way(seed, i, j) for i in range(len(devices)) for j in range(len(devices)) if i != j}
        self.cuts = set()
        self.queue = []
        self.stats = {"packets": 0, "lost": 0, "late": 0, "cut": 0, "full": 0}

    def read(self, source):
        for _ in range(64):
            try:
                packet = os.read(self.devices[source], 65_535)
            except BlockingIOError:
                return
            # IPv4 to another host; the rest is neighbours looking for routers.
            if packet[0] >> 4 == 4 and packet[16:19] == b"\x0a\x4d\x00":
                self.take(source, packet[19] - 1, packet)

    def take(self, source, target, packet):
        way = self.ways.get((source, target))
        if way is None:
            return
        self.stats["packets"] += 1
        now = time.monotonic()
        due, late = way.when(now)
        if (min(source, target), max(source, target)) in self.cuts:
            self.stats["cut"] += 1
        elif due is None:
            self.stats["lost"] += 1
        elif len(self.queue) >= QUEUE_MAX:
            self.stats["full"] += 1
        else:
            self.stats["late"] += late
            heapq.heappush(self.queue, (due, self.stats["packets"], target, packet))

    def send(self):
        now = time.monotonic()
        while self.queue and self.queue[0][0] <= now:
            _, _, target, packet = heapq.heappop(self.queue)
            try:
                os.write(self.devices[target], packet)
            except OSError:
                # A device that is full loses it, as a real one does.
                self.stats["full"] += 1

    def obey(self, line):
        word, *hosts = line.split()
        link = tuple(sorted(int(host) for host in hosts))
        if word == "cut":
            self.cuts.add(link)
        else:
            self.cuts.discard(link)

    def run(self):
        commands = b""
        while True:
            wait = None if not self.queue else max(0.0, self.queue[0][0] - time.monotonic())
            ready, _, _ = select.select([0, *self.devices], [], [], wait)
            for at, device in enumerate(self.devices):
                if device in ready:
                    self.read(at)
            if 0 in ready:
                said = os.read(0, 4_096)
                if not said:
                    return
                *lines, commands = (commands + said).split(b"\n")
                for line in lines:
                    self.obey(line.decode())
            self.send()


def main():
    seed, hosts = sys.argv[1], int(sys.argv[2])
    links = []
    opened = [open_host(at, links) for at in range(hosts)]
    print(json.dumps({"keepers": [pid for _, pid in opened]}), flush=True)
    relay = Relay(seed, [device for device, _ in opened])
    relay.run()
    print(json.dumps(relay.stats), flush=True)


main()
