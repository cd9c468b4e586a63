"""Simulated caches for roofline.py: how many of the gathered rows a cache holds already, on real
positions. The unit is a row, because all bytes of a row are gathered together."""

import random
from collections import OrderedDict

RECORD = 32
INPUTS = 768


class Cache:
    """Rows of which the least recently used leaves first."""

    def __init__(self, rows):
        self.capacity = max(0, int(rows))
        self.held = OrderedDict()

    def touch(self, row):
        """Whether the cache holds the row, which it holds afterwards."""
        if row in self.held:
            self.held.move_to_end(row)
            return True
        if self.capacity:
            if len(self.held) == self.capacity:
                self.held.popitem(last=False)
            self.held[row] = None
        return False


def features_of(record):
    """The features of both perspectives: occupied squares in 8 bytes, then four bits per piece by
    ascending square, the kind plus 8 for the other side."""
    occupied = int.from_bytes(record[:8], "little")
    first, second = [], []
    piece = 0
    while occupied:
        square = (occupied & -occupied).bit_length() - 1
        occupied &= occupied - 1
        code = record[8 + piece // 2] >> 4 * (piece % 2) & 15
        piece += 1
        other, kind = code >> 3, code & 7
        first.append(384 * other + 64 * kind + square)
        second.append(384 * (1 - other) + 64 * kind + (square ^ 56))
    return first, second


class Positions:
    """A random sample of a data file, with a fixed seed."""

    def __init__(self, path, count):
        data = path.read_bytes()
        all_records = len(data) // RECORD
        if len(data) % RECORD or not all_records:
            raise ValueError(f"{path}: expected records of {RECORD} bytes, found {len(data)} bytes")
        chosen = random.Random(1).sample(range(all_records), min(count, all_records))
        self.lists = [features_of(data[RECORD * at:RECORD * at + RECORD]) for at in chosen]
        self.pieces = sum(len(first) for first, _ in self.lists) / len(self.lists)
        # The samples that have a feature, per perspective and feature.
        self.samples = [[[] for _ in range(INPUTS)] for _ in range(2)]
        for sample, lists in enumerate(self.lists):
            for perspective, features in enumerate(lists):
                for feature in features:
                    self.samples[perspective][feature].append(sample)
        self.known = {}

    def shares(self):
        """The share of positions that have each feature, of both perspectives."""
        return [len(samples) / len(self.lists) for side in self.samples for samples in side]

    def weight_hits(self, cache_rows, together):
        """The share of a core's gathers of weights that its first cache serves, if it computes
        `together` positions at a time, one feature of each after the other."""
        key = ("weights", int(cache_rows), max(1, round(together)))
        if key not in self.known:
            self.known[key] = self._weight_hits(*key[1:])
        return self.known[key]

    def _weight_hits(self, cache_rows, together):
        cache, hits, touches = Cache(cache_rows), 0, 0
        lists = self.lists[:3000]
        for start in range(0, len(lists), together):
            of_core = lists[start:start + together]
            longest = max(len(first) for first, _ in of_core)
            for turn in range(longest):
                for sides in of_core:
                    for features in sides:
                        if turn < len(features):
                            hit = cache.touch(features[turn])
                            if start >= len(lists) // 4:  # the cache is warm
                                hits, touches = hits + hit, touches + 1
        return hits / max(1, touches)

    def sample_hits(self, cache_rows, batch, every=1):
        """The share of gathers by sample, feature after feature, that a cache of this many rows
        serves in a batch of this size. With `every`, the cache sees one feature of so many. The
        sample stands for the batch, and the cache shrinks with it."""
        scaled = int(cache_rows * len(self.lists) / batch)
        key = ("samples", scaled, every)
        if key not in self.known:
            cache, hits, touches = Cache(scaled), 0, 0
            for perspective, side in enumerate(self.samples):
                for samples in side[::every]:
                    for sample in samples:
                        hits += cache.touch((perspective, sample))
                        touches += 1
            self.known[key] = hits / max(1, touches)
        return self.known[key]
