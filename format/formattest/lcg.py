"""The numbers that Go's tests make with formattest.LCG and formattest.Noise, for the scripts
that write their fixtures."""


def states(seed, n):
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        yield seed


def lcg(seed, n):
    """n numbers in [-1, 1), exact in float32."""
    return [((s >> 16) - 32768) / 32768 for s in states(seed, n)]


def noise(seed, n):
    """n bytes."""
    return bytes(s >> 24 for s in states(seed, n))
