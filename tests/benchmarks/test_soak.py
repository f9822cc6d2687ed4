"""The soak's own judgement: what counts as growth, and that growth is seen."""

from benchmarks.autoserve.leaks import leaks


def samples(grow):
    return [
        {
            "agent": {
                "pss_mb": 20 + 5 * grow.get("pss_mb", 0) * at / 40,
                "descriptors": 30 + grow.get("descriptors", 0) * at,
                "processes": 1,
            }
        }
        for at in range(40)
    ]


def test_what_stays_flat_is_no_leak():
    assert leaks(samples({})) == []


def test_growth_is_told():
    """Memory by a few per cent, descriptors by one a swap."""
    assert leaks(samples({"pss_mb": 4})) == ["agent: pss_mb grew from 27.25 to 37.25"]
    assert leaks(samples({"descriptors": 1})) == ["agent: descriptors grew from 44.5 to 64.5"]
