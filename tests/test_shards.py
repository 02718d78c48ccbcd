"""A table in pieces: whole or absent, never mixed with another."""

import os
import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from synthdiff._files import write_atomically
from synthdiff._validate import InputError
from synthdiff.data.shards import (
    claim_shards,
    count_shards,
    finish_shards,
    list_missing,
    write_shards,
)
from synthdiff.data.table import read_table

TABLE = pd.DataFrame(
    {
        "age": np.arange(23),
        "ward": [None] * 12 + ["A", "B"] * 5 + ["A"],
        "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(23), unit="D"),
        "bmi": np.where(np.arange(23) < 6, np.nan, 22.5),
        "codes": ["E11", ""] * 11 + [None],
    }
)
SETTINGS = {"seed": 0, "where": ["a=1"], "rows": 23}


def draw(first, count):
    return TABLE.iloc[first : first + count].reset_index(drop=True)


def write(folder, shard_rows=5, which=(0, 1, 2, 3, 4)):
    claim_shards(folder, SETTINGS)
    return write_shards(folder, draw, len(TABLE), shard_rows, which)


@pytest.mark.parametrize("shard_rows", [1, 5, 22, 23, 100])
def test_the_pieces_are_the_table(tmp_path, shard_rows):
    total = count_shards(len(TABLE), shard_rows)
    assert total == np.ceil(23 / shard_rows)
    assert write(tmp_path / "t", shard_rows, range(total)) == list(range(total))
    pd.testing.assert_frame_equal(read_table(tmp_path / "t"), TABLE, check_dtype=shard_rows > 22)
    first = tmp_path / "t" / f"part-00000-of-{total:05d}.parquet"
    assert len(read_table(first)) == min(shard_rows, 23)


def test_no_more_than_one_piece_is_asked_for(tmp_path):
    claim_shards(tmp_path / "t", SETTINGS)
    asked = []

    def watched(first, count):
        asked.append((first, count))
        return draw(first, count)

    write_shards(tmp_path / "t", watched, 23, 10, [2, 0])
    assert asked == [(20, 3), (0, 10)]


def test_memory_does_not_grow_with_the_table(tmp_path):
    """No piece is kept: each is 0.8 MB here."""

    def make(first, count):
        return pd.DataFrame({"x": np.arange(first, first + count, dtype=float)})

    def find_peak(num_rows):
        tracemalloc.start()
        write_shards(tmp_path / str(num_rows), make, num_rows, 100_000, range(num_rows // 100_000))
        return tracemalloc.get_traced_memory()[1], tracemalloc.stop()

    for num_rows in (200_000, 2_000_000):
        claim_shards(tmp_path / str(num_rows), {})
    few, many = (find_peak(num_rows)[0] for num_rows in (200_000, 2_000_000))
    assert 800_000 < many < few + 800_000


def test_only_what_is_missing_is_written(tmp_path):
    folder = tmp_path / "t"
    assert write(folder, which=[0, 2, 4]) == [0, 2, 4]
    with pytest.raises(InputError, match=r"2 of 5 shards are missing, the first is 1.*Fix:"):
        read_table(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert write(folder) == [1, 3]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(read_table(folder)) == 23 and not list(folder.glob("*.tmp"))


def finish_in_thread(folder, patience):
    """`finish_shards` in a thread, and the numbers of the shards that it wrote, once it ends."""
    written, size = [], (len(TABLE), 5)

    def run():
        written.extend(finish_shards(folder, draw, *size, patience, every=0.01))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, written


def test_one_waits_for_the_shards_of_others_that_live(tmp_path):
    """Each comes within its patience, all of them do not."""
    folder = tmp_path / "t"
    write(folder, which=[0])
    waiting, written = finish_in_thread(folder, patience=1.0)
    for number in (1, 2, 3, 4):
        waiting.join(0.4)
        assert waiting.is_alive() and list_missing(folder, 23, 5) == [*range(number, 5)]
        write(folder, which=[number])
    waiting.join(10)
    assert not waiting.is_alive() and written == []


def test_one_writes_the_shards_of_others_that_never_come(tmp_path):
    folder = tmp_path / "t"
    write(folder, which=[0, 2])
    waiting, written = finish_in_thread(folder, patience=0.3)
    waiting.join(0.1)
    assert waiting.is_alive() and not written  # not at once
    waiting.join(10)
    assert not waiting.is_alive() and sorted(written) == [1, 3, 4]
    pd.testing.assert_frame_equal(read_table(folder), TABLE, check_dtype=False)


def test_several_write_what_a_dead_one_left_at_the_same_time(tmp_path):
    folder = tmp_path / "t"
    write(folder, which=[0])
    waiting = [finish_in_thread(folder, patience=0.1) for _ in range(3)]
    for thread, _ in waiting:
        thread.join(10)
    assert {n for _, written in waiting for n in written} == {1, 2, 3, 4}
    pd.testing.assert_frame_equal(read_table(folder), TABLE, check_dtype=False)
    assert not list(folder.glob("*.tmp"))


def test_a_piece_that_fails_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    folder = tmp_path / "t"

    def die(first, count):
        raise KeyboardInterrupt

    claim_shards(folder, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        write_shards(folder, die, 23, 5, [0])
    left = folder / "part-00000-of-00005.parquet.00000123.tmp"
    left.write_bytes(b"PAR1 cut")  # by a kill while writing
    with pytest.raises(InputError, match="holds no part"):
        read_table(folder)
    assert write(folder) == [0, 1, 2, 3, 4]
    assert len(read_table(folder)) == 23 and not list(folder.glob("*.tmp"))


def test_two_writers_of_one_shard_do_not_meet(tmp_path, monkeypatch):
    """The second begins and ends while the first one's file is written but not yet in place."""
    folder, fsync, begun = tmp_path / "t", os.fsync, []

    def write_another(number):
        fsync(number)
        if not begun:
            begun.append(True)
            assert write(folder) == [0, 1, 2, 3, 4]

    claim_shards(folder, SETTINGS)
    monkeypatch.setattr("os.fsync", write_another)
    assert write_shards(folder, draw, 23, 5, [0]) == [0]
    assert begun and len(read_table(folder)) == 23 and not list(folder.glob("*.tmp"))


def test_a_writer_never_publishes_what_another_has_begun(tmp_path, monkeypatch):
    """The second opens its file while the first one's is written but not yet in place.

    The first then takes it for one that was left, and the second begins anew.
    """
    path, go_on = tmp_path / "x", {name: threading.Event() for name in ("first", "second")}
    opened, fsync, real = threading.Event(), os.fsync, os.open

    def open_and_wait(*args):
        number = real(*args)
        if threading.current_thread().name == "second":
            opened.set()
            go_on["second"].wait(10)
        return number

    def wait_and_sync(number):
        if threading.current_thread().name == "first":
            threads["second"].start()
            go_on["first"].wait(10)
        fsync(number)

    monkeypatch.setattr("os.open", open_and_wait)
    monkeypatch.setattr("os.fsync", wait_and_sync)
    threads = {
        name: threading.Thread(target=write_atomically, args=(path, name.encode()), name=name)
        for name in go_on
    }
    threads["first"].start()
    assert opened.wait(10)
    for name in go_on:
        go_on[name].set()
        threads[name].join(10)
        assert path.read_bytes() == name.encode()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_other_settings_are_refused_by_name(tmp_path):
    write(tmp_path / "t")
    claim_shards(tmp_path / "t", dict(SETTINGS))
    for other, name in (({"seed": 1}, "seed"), ({"where": []}, "where"), ({"more": 1}, "more")):
        with pytest.raises(InputError, match=f"another {name}.*Fix:"):
            claim_shards(tmp_path / "t", SETTINGS | other)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        claim_shards(tmp_path, SETTINGS)
    with pytest.raises(InputError, match="holds no part"):
        read_table(tmp_path)


def test_two_tables_in_a_folder_are_refused(tmp_path):
    write(tmp_path / "t")
    write_shards(tmp_path / "t", draw, 23, 10, range(3))
    with pytest.raises(InputError, match="several tables"):
        read_table(tmp_path / "t")


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0)])
def test_sizes_must_be_positive(sizes):
    with pytest.raises(InputError, match="rows > 0"):
        count_shards(*sizes)
