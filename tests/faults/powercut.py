"""Rolls a folder back to what a power cut would have left, from the journal of powercut.c."""
import os
import random
import shutil


def cut(journal, rng):
    """Play the journal back; the journal is used up."""
    safe = {}       # path -> bytes that are synced
    unsure = []     # changes of names, not yet made safe by a sync of their folder
    if not os.path.exists(journal):
        return
    with open(journal) as lines:
        for line in lines:
            kind, *rest = line.rstrip("\n").split("\t")
            if kind == "C":
                safe[rest[0]] = 0
                unsure.append(("C", rest[0]))
            elif kind == "S":
                safe[rest[0]] = int(rest[1])
            elif kind == "R":
                safe[rest[1]] = safe.pop(rest[0], 0)
                unsure = [("C", rest[1]) if u == ("C", rest[0]) else u for u in unsure if u != ("C", rest[0])]
                unsure.append(("R", rest[0], rest[1], rest[2]))
            elif kind == "U":
                safe.pop(rest[0], None)
                unsure.append(("U", rest[0], rest[1]))
            elif kind == "D":
                unsure = [u for u in unsure if os.path.dirname(u[1]) != rest[0]]
    # Names first, newest change first: the folder may or may not have reached the disk, and
    # everything after a change that did not must not have either.
    keep = rng.randint(0, len(unsure))
    for change in reversed(unsure[keep:]):
        if change[0] == "C" and os.path.exists(change[1]):
            os.unlink(change[1])
            safe.pop(change[1], None)
        elif change[0] == "R" and os.path.exists(change[2]):
            os.rename(change[2], change[1])
            safe[change[1]] = safe.pop(change[2], 0)
            if change[3] != "-":
                shutil.copyfile(change[3], change[2])
        elif change[0] == "U" and change[2] != "-":
            shutil.copyfile(change[2], change[1])
    for path, size in safe.items():
        if os.path.exists(path):
            tear(path, size, rng)
    folder = os.path.dirname(journal)
    for name in os.listdir(folder):
        if name.startswith(os.path.basename(journal)):
            os.unlink(os.path.join(folder, name))


def tear(path, size, rng):
    """Keep what is synced and a random part of the rest, its last sector garbage."""
    length = os.path.getsize(path)
    if length <= size:
        return
    kept = rng.randint(size, length)
    with open(path, "r+b") as f:
        f.truncate(kept)
        torn = min(kept - size, rng.choice([0, 1, 100, 512]))
        if torn:
            f.seek(kept - torn)
            f.write(rng.randbytes(torn))
