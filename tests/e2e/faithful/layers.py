# SPDX-License-Identifier: Apache-2.0
# Makes layers that say all that a tar can say, one over the other:
# python3 layers.py DIRECTORY writes lower.tar, middle.tar and upper.tar.
import io, os, struct, sys, tarfile

CAP_NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
# POSIX ACL, version 2: user::rw-, user:1000:r--, group::r--, mask::r--, other::---
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [(1, 6, 2**32 - 1), (2, 4, 1000), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1)]
)

class Layer:
    def __init__(self, directory, name, form=tarfile.PAX_FORMAT):
        self.tar = tarfile.open(
            os.path.join(directory, name + ".tar"), "w", format=form, encoding="utf-8", errors="surrogateescape"
        )

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, xattrs=(), mtime="1111111111.5", **more):
        info = tarfile.TarInfo(os.fsdecode(name))
        info.type, info.mode, info.size, info.mtime = kind, mode, len(data), int(float(mtime))
        info.pax_headers = {"mtime": mtime}
        for key, value in dict(xattrs).items():
            info.pax_headers["SCHILY.xattr." + key] = value.decode("utf-8", "surrogateescape")
        for key, value in more.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data))

    def directory(self, name, mode=0o755, **more):
        self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def link(self, name, to, **more):
        self.add(name, tarfile.LNKTYPE, linkname=to, **more)

    def symlink(self, name, to, **more):
        self.add(name, tarfile.SYMTYPE, linkname=to, mode=0o777, **more)

    def gone(self, name):
        directory, base = os.path.split(name)
        self.add(os.path.join(directory, ".wh." + base))

def lower(layer):
    for name in ("t", "t/sub", "t/gone", "t/opaque", "t/opaque/old", "t/becomes-link", "t/becomes-file"):
        layer.directory(name, uid=1, gid=2)
    layer.add(b"t/\xff\xfe not UTF-8", data=b"1")
    layer.add("t/new\nline", data=b"2")
    layer.add("t/" + "n" * 255, data=b"3")
    deep = "t"
    for _ in range(100):
        deep += "/deep"
        layer.directory(deep)
    layer.add(deep + "/file", data=b"4")
    layer.symlink("t/far", "x/" * 1000 + "y")
    layer.add("t/setuid", mode=0o4755, data=b"#!", uid=1000, gid=1000)
    layer.add("t/setgid", mode=0o2755)
    layer.directory("t/sticky", mode=0o1777)
    layer.add("t/huge-owner", uid=2**31, gid=2**32 - 2)
    layer.add("t/time", mtime="981173106.789012345")
    layer.add("t/before-1970", mtime="-86400.25")
    layer.add("t/capable", mode=0o755, xattrs={"security.capability": CAP_NET_RAW})
    layer.add("t/attributes", xattrs={"user.a": b"b\0c\n", "user.long": b"x" * 3000, "trusted.t": b"1"})
    layer.add("t/acl", mode=0o640, xattrs={"system.posix_acl_access": ACL})
    layer.directory("t/acl-directory", xattrs={"system.posix_acl_default": ACL})
    layer.add("t/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    layer.add("t/disk", tarfile.BLKTYPE, devmajor=259, devminor=70000, mode=0o660, gid=6)
    layer.add("t/pipe", tarfile.FIFOTYPE, mode=0o600)
    layer.add("t/one", data=b"linked " * 1000)
    layer.link("t/sub/two", "t/one")
    layer.link("t/three", "t/sub/two")
    layer.add("t/twice", data=b"first")
    layer.add("t/twice", data=b"second")
    layer.add("t/gone/file")
    layer.add("t/opaque/file")
    layer.add("t/becomes-link/file")
    layer.add("t/becomes-file/file")
    layer.add("t/becomes-directory")
    layer.symlink("t/link-becomes-directory", "sub")
    layer.symlink("t/link-becomes-file", "sub")
    layer.directory("t/usr")
    layer.directory("t/usr/lib")
    layer.symlink("t/lib", "usr/lib")
    layer.add("t/usr/lib/low", data=b"low")

def middle(layer):
    layer.gone("t/gone")
    layer.gone("t/one")
    layer.add("t/opaque/new", data=b"new")
    layer.add("t/opaque/.wh..wh..opq")
    layer.gone("t/becomes-link")
    layer.symlink("t/becomes-link", "sub")
    layer.gone("t/becomes-file")
    layer.add("t/becomes-file", data=b"file")
    layer.gone("t/becomes-directory")
    layer.directory("t/becomes-directory")
    layer.add("t/becomes-directory/inside")
    layer.gone("t/link-becomes-directory")
    layer.directory("t/link-becomes-directory")
    layer.add("t/link-becomes-directory/inside")
    layer.add("t/link-becomes-file", data=b"file")
    layer.add("t/usr/lib/high", data=b"high")
    layer.add("t/sub/three", data=b"of the middle")
    layer.link("t/sub/four", "t/sub/three")

def upper(layer):
    layer.add("t/twice", data=b"third", uid=7)
    layer.directory("t/sub", mode=0o700, uid=9, gid=9, mtime="1000000000.25")
    layer.gone("t/sub/three")
    layer.directory("t/gone", mode=0o711)
    layer.add("t/gone/again", data=b"again")

for make, form in ((lower, tarfile.PAX_FORMAT), (middle, tarfile.GNU_FORMAT), (upper, tarfile.USTAR_FORMAT)):
    layer = Layer(sys.argv[1], make.__name__, form)
    make(layer)
    layer.tar.close()
