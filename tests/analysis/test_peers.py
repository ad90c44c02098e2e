"""Public implementations beside the catalogue: rows of a part are rows of the whole, reports render from rows alone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import peers
from analysis.peers import measured
from analysis.peers.judge import judged
from ttr_numerics import layers
from ttr_numerics.axes import Output
from ttr_numerics.pairs import catalogue
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

REPORTS = Path(__file__).parents[2] / "reports"
FEW = [peer for peer in measured.PEERS if peer.layer in ("delta_rule", "softmax_attention", "rwkv6")]

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, on import or for want of a device


def quietly(iterable, total=None):
    return iterable


@pytest.fixture(scope="module")
def rows():
    return measured.measure(quietly, FEW)


def stored():
    return read_study(REPORTS / "peers.jsonl")


def test_a_part_of_the_peers_gives_the_same_rows(rows):
    part = [row for row in measured.measure(quietly, FEW[:1]) if "peer" in row]
    assert part
    assert [row for row in part if row not in rows] == []


def test_small_runs_render_from_stored_rows(rows, tmp_path):
    study = Study("peers", "why?", peers.SEED, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = peers.render(again.rows)
    assert render_markdown(section, again) == render_markdown(peers.render(rows), study)
    assert "nan" not in render_markdown(section, again).lower().split()
    assert "rwkv6" in render_html([(section, again)], "title", "lead")


def test_committed_rows_render_to_the_committed_report():
    assert render_markdown(peers.render(stored().rows), stored()) == (REPORTS / "peers.md").read_text("utf-8")


def test_committed_rows_are_those_of_the_entries_and_every_layer_is_in_one():
    rows = [row for row in stored().rows if "peer" in row]
    found = [(row["layer"], row["peer"], row["arithmetic"]) for row in rows]
    assert found == [(peer.layer, peer.name, dtype) for peer in measured.PEERS for dtype in peer.computes]
    assert len(set(found)) == len(found), "two rows would share a cell"
    assert {row["layer"] for row in stored().rows} == {row.name for row in catalogue()}


def test_rows_say_where_a_peer_disagrees_and_the_answer_does(rows):
    n = sum("peer" in row and not row["difference"] for row in rows)
    first = next(row for row in rows if "peer" in row and not row["difference"])
    worse = [row | ({"ratio": 3.0} if row is first else {}) for row in rows]
    assert peers.render(rows).answer.startswith(f"{n} of the {n} comparisons")
    assert peers.render(worse).answer.startswith(f"{n - 1} of the {n} comparisons")
    assert "at worst 3.00" in peers.render(worse).answer


def test_a_transposed_state_is_seen_though_every_output_is_right():
    sound = next(p for p in FEW if "delta_rule_recurrence" in p.path)
    square = replace(sound, axes={"d_v": 16})

    def transposed(function, arrays):
        o, state = sound.call(function, arrays)
        return Output(o, state.mT)

    assert judged(square, "float32")[0].agrees
    against, _, _ = judged(replace(square, call=transposed), "float32")
    assert against.ratio <= 1 < against.state_ratio


def test_a_variant_that_is_not_the_peer_explains_nothing():
    other = next(p for p in FEW if p.differs)
    wrong = replace(other, differs=replace(other.differs, variant=layers.rwkv6))
    _, explained, _ = judged(wrong, "float32")
    assert explained.ratio > 1


def test_stored_rows_are_rendered_without_the_packages_they_were_measured_on():
    script = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = sys.modules['fla'] = None\n"
        "from analysis import peers; print(peers.SEED)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
