# SPDX-License-Identifier: Apache-2.0
# Prints what is below a directory, a line for each name, as far as an image
# says it: python3 list.py DIRECTORY
import os, stat, sys, zlib

root = os.fsencode(sys.argv[1])
# What the guest makes for itself, whatever the image has there.
skip = {b"proc", b"sys", b"dev", b"run", b"tmp", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"}
# Directories that the guest writes to.
touched = {b"", b"etc"}
# The first name of each file.
links = {}

def content(path):
    crc = 0
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            crc = zlib.crc32(data, crc)
    return f"{crc:08x}"

def line(name):
    path = os.path.join(root, name) if name else root
    info = os.lstat(path)
    mode, more = info.st_mode, ""
    if stat.S_ISREG(mode):
        # Not how many: overlayfs counts names that a layer above has removed.
        first = links.setdefault((info.st_dev, info.st_ino), name)
        more = f" size={info.st_size} crc={content(path)} is {first!r}"
    elif stat.S_ISLNK(mode):
        more = f" -> {os.readlink(path)!r}"
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        more = f" device={os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    attributes = {}
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        attributes[key] = os.getxattr(path, key, follow_symlinks=False).hex()
    time = "" if name in touched else f" {info.st_mtime_ns}"
    print(f"{name!r} {mode:o} {info.st_uid}:{info.st_gid}{time}{more} {attributes or ''}".rstrip())

def walk(name):
    if name in skip:
        return
    line(name)
    path = os.path.join(root, name) if name else root
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for child in sorted(os.listdir(path)):
            walk(os.path.join(name, child) if name else child)

walk(b"")
