"""The report is one file that needs no other, and says of every utterance what is known of it."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_fixtures import record, write_rows
from s2t2_cli.audio import load_audio
from s2t2_cli.errors import OutputError, UsageError
from s2t2_cli.evaluation.evaluation import Evaluation, evaluate
from s2t2_cli.evaluation.joining import join
from s2t2_cli.evaluation.normalization import Normalization
from s2t2_cli.evaluation.report import check_place, write_report
from s2t2_cli.evaluation.scores import ScoreSettings
from s2t2_cli.evaluation.texts import TextFile, TextRow, read_texts

VOID = {"meta", "br", "input", "link", "img"}


@dataclass
class Element:
    """A piece of the page."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return "".join(parts)

    def all(self, tag: str, of_class: str | None = None) -> list[Element]:
        """The elements below with that tag and class, in order."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                classes = (child.attributes.get("class") or "").split()
                if child.tag == tag and (of_class is None or of_class in classes):
                    found.append(child)
                found += child.all(tag, of_class)
        return found


class Tree(HTMLParser):
    """Parses strictly: whatever opens must close, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(page)
        self.close()
        assert self._open == [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attributes))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def evaluated(folder: Path, rows: list[dict[str, Any]], *systems: list[dict[str, Any]], **options: Any) -> Evaluation:
    files = [write_rows(folder / "refs.jsonl", rows)]
    files += [write_rows(folder / f"{number}.jsonl", system) for number, system in enumerate(systems, 1)]
    references, *found = (read_texts(str(file)) for file in files)
    return evaluate(join(references, found), options.pop("settings", None), **options)


def written(path: Path, evaluation: Evaluation, **options: Any) -> Element:
    write_report(path, evaluation, **options)
    return Tree(path.read_text("utf-8")).root


def rows_of(page: Element) -> list[Element]:
    (body,) = page.all("tbody")
    return body.all("tr")


@pytest.fixture
def evaluation(tmp_path: Path, clip: Path) -> Evaluation:
    """A good one, a bad one, a failed one; recordings in the manifest's folder."""
    shutil.copy(clip, tmp_path / "good.wav")
    shutil.copy(clip, tmp_path / "bad.wav")
    (tmp_path / "failed.wav").write_bytes(b"nothing to hear")
    rows = [
        {"audio_filepath": "good.wav", "text": "Es ist schon halb acht.", "transcript": "It is half past seven."},
        {"audio_filepath": "bad.wav", "text": "Wo ist der Bahnhof?"},
        {"audio_filepath": "failed.wav", "text": "Zwei Karten, bitte."},
        {"audio_filepath": "gone.wav", "text": "Bis morgen dann."},
    ]
    hypotheses = [
        record("good.wav", "Es ist schon halb acht.", duration=2.79),
        record("bad.wav", "Wo ist er <b>denn</b>?", warnings=["length_limit"]),
        record("failed.wav", None),
        record("gone.wav", "Bis morgen.", duration=1.5),
    ]
    return evaluated(tmp_path, rows, hypotheses, settings=ScoreSettings(bootstrap=20))


def test_the_page_needs_no_other_file(tmp_path: Path, evaluation: Evaluation) -> None:
    page = written(tmp_path / "report.html", evaluation)
    for element in below(page):
        for name in ("src", "href", "action", "srcset", "style", "onclick", "onerror"):
            address = element.attributes.get(name) or "#"
            assert address.startswith(("data:audio/webm;base64,", "#"))
    assert not re.search(r"url\(|@import|https?://", (tmp_path / "report.html").read_text("utf-8"))
    assert not any(page.all(tag) for tag in ("link", "img", "iframe", "object", "base"))


def test_its_policy_allows_its_own_style_and_script_only(tmp_path: Path, evaluation: Evaluation) -> None:
    page = written(tmp_path / "report.html", evaluation)
    (policy,) = (
        one.attributes["content"]
        for one in page.all("meta")
        if one.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    for tag in ("style", "script"):
        (element,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


def test_every_utterance_has_a_row_the_worst_first(tmp_path: Path, evaluation: Evaluation) -> None:
    rows = rows_of(written(tmp_path / "report.html", evaluation))
    assert [row.attributes["data-name"] for row in rows] == ["failed.wav", "bad.wav", "gone.wav", "good.wav"]
    assert [row.attributes["data-number"] for row in rows] == ["3", "2", "4", "1"]
    assert rows[3].attributes["data-bleu0"] == "100.0000"


def test_a_row_says_what_is_known(tmp_path: Path, evaluation: Evaluation) -> None:
    failed, bad, gone, good = rows_of(written(tmp_path / "report.html", evaluation))
    assert [text.text for text in bad.all("p", "text")] == ["Wo ist der Bahnhof?", "Wo ist er <b>denn</b>?"]
    assert [piece.text for piece in bad.all("del")] == ["der Bahnhof"]
    assert [piece.text for piece in bad.all("ins")] == ["er <b>denn</b>"]
    assert bad.all("p", "note")[0].text == "cut off at the length limit"
    assert failed.all("p", "note")[0].text == "failed: failed.wav is not audio"
    assert good.all("p", "transcript")[0].text == "It is half past seven."
    assert good.all("p", "text")[0].attributes == {"class": "text", "dir": "auto", "lang": "de"}
    assert [row.all("span", "seconds")[0].text for row in (bad, gone, good)] == [
        f"{seconds}\N{NO-BREAK SPACE}s" for seconds in ("2.8", "1.5", "2.8")
    ]


def test_recordings_are_inside_and_what_is_not_says_why(tmp_path: Path, evaluation: Evaluation, clip: Path) -> None:
    failed, bad, gone, _ = rows_of(written(tmp_path / "report.html", evaluation))
    (player,) = bad.all("audio")
    data = base64.b64decode((player.attributes["src"] or "").partition(",")[2])
    assert load_audio(data).duration == pytest.approx(load_audio(clip).duration, abs=0.01)
    assert len(data) < clip.stat().st_size / 5
    assert failed.all("audio") == gone.all("audio") == []
    assert "failed.wav" in failed.all("p", "silence")[0].text
    assert gone.all("p", "silence")[0].text == "the recording was not found"


def test_without_an_encoder_for_opus_they_are_wav(
    tmp_path: Path, evaluation: Evaluation, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2t2_cli.evaluation.clips._CODEC", "an encoder that is not there")
    page = written(tmp_path / "report.html", evaluation)
    address = page.all("audio")[0].attributes["src"] or ""
    assert address.startswith("data:audio/wav;base64,")
    assert load_audio(base64.b64decode(address.partition(",")[2])).duration == load_audio(clip).duration


def test_names_no_file_can_have_are_not_found(tmp_path: Path) -> None:
    names = ["x" * 5000 + ".wav", "a\0.wav", "\udcff.wav"]
    rows = [{"audio_filepath": name, "text": "Ja."} for name in names]
    found = evaluated(tmp_path, rows, [record(name, "Ja.") for name in names])
    silences = written(tmp_path / "report.html", found).all("p", "silence")
    assert [one.text for one in silences] == ["the recording was not found"] * 3


def test_a_limit_leaves_the_better_ones_without_audio(tmp_path: Path, evaluation: Evaluation) -> None:
    _, bad, _, good = rows_of(written(tmp_path / "report.html", evaluation, audio_limit=1))
    assert len(bad.all("audio")) == 1
    assert good.all("p", "silence")[0].text == "left out: --report-audio-limit is reached"


def test_without_audio_nothing_is_said_of_it(tmp_path: Path, evaluation: Evaluation) -> None:
    page = written(tmp_path / "report.html", evaluation, audio_limit=0)
    assert page.all("audio") == page.all("p", "silence") == []


def test_recordings_are_found_in_a_named_folder(tmp_path: Path, evaluation: Evaluation, clip: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(clip, tmp_path / "elsewhere" / "gone.wav")
    _, _, gone, _ = rows_of(written(tmp_path / "report.html", evaluation, audio_dir=tmp_path / "elsewhere"))
    assert len(gone.all("audio")) == 1


def test_an_address_is_shown_without_its_password_and_not_fetched(tmp_path: Path) -> None:
    name = "https://ann:secret@example.org/a.wav"
    page = written(
        tmp_path / "report.html",
        evaluated(tmp_path, [{"audio_filepath": name, "text": "Ja."}], [record(name, "Ja.")]),
    )
    assert rows_of(page)[0].all("p", "silence")[0].text == "an address; not fetched for the report"
    assert "secret" not in (tmp_path / "report.html").read_text("utf-8")


def test_the_summary_has_scores_intervals_and_signatures(tmp_path: Path, evaluation: Evaluation) -> None:
    page = written(tmp_path / "report.html", evaluation)
    bleu, chrf = evaluation.scores[0]
    assert [one.text for one in page.all("p", "value")] == [f"{bleu.value:.2f}", f"{chrf.value:.2f}"]
    assert bleu.interval is not None
    shown = f"95 %: {bleu.interval.mean:.2f} ± {bleu.interval.half_width:.2f}"
    assert page.all("p", "interval")[0].text == shown
    assert [one.text for one in page.all("dd")] == [bleu.signature, chrf.signature]
    assert page.all("p", "test")[0].text == "1 failed, scored as empty"
    assert "1 not translated, scored as empty: failed.wav" in page.all("details")[0].text


def test_several_systems_have_a_column_each_and_are_compared(tmp_path: Path) -> None:
    names = [f"{number}.wav" for number in range(6)]
    rows = [{"audio_filepath": name, "text": f"Heute ist der {name} Tag im Mai."} for name in names]
    first = [record(name, "Heute ist Mai.") for name in names]
    second = [record(name, f"Heute ist der {name} Tag im Mai.") for name in names]
    rules = ScoreSettings(bootstrap=20, paired="bootstrap")
    found = evaluated(tmp_path, rows, first, second, settings=rules, normalization=Normalization(True, lang="tr"))
    page = written(tmp_path / "report.html", found)
    assert [one.text.split()[0].rpartition("/")[2] for one in page.all("th")[2:4]] == ["1.jsonl", "2.jsonl"]
    row = rows_of(page)[0]
    assert len(row.all("td")) == 3
    change = 100 - float(row.attributes["data-bleu0"] or "")
    assert float(row.attributes["data-change1"] or "") == pytest.approx(change, abs=1e-3)
    assert f"change +{change:.1f}" in row.all("td")[2].text
    assert "to the first,p\N{NO-BREAK SPACE}=" in page.all("p", "test")[0].text
    facts = " ".join(page.all("p", "facts")[0].text.split())
    assert "compared by paired bootstrap resampling · before scoring: lower-cased (Turkish)" in facts


def test_the_same_evaluation_gives_the_same_page(tmp_path: Path, evaluation: Evaluation) -> None:
    for name in ("one.html", "two.html"):
        write_report(tmp_path / name, evaluation)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@given(st.lists(st.tuples(st.text(), st.text(), st.text(min_size=1)), min_size=1, max_size=3))
@settings(max_examples=15)
def test_any_text_and_name_stay_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    """Whatever stands in files is shown; none of it becomes a tag or leaves its attribute."""
    references = [TextRow("", f"{number}{name}", {"text": text}) for number, (text, _, name) in enumerate(rows)]
    hypotheses = [TextRow("", f"{number}{name}", {"text": text}) for number, (_, text, name) in enumerate(rows)]
    folder = tmp_path_factory.getbasetemp()
    found = evaluate(join(TextFile("r", references, folder), [TextFile("h", hypotheses, folder)]))
    page = written(folder / "any.html", found, audio_limit=0)
    tags = {element.tag for row in rows_of(page) for element in below(row)}
    assert tags <= {"th", "td", "p", "a", "bdi", "span", "b", "meter", "del", "ins"}
    assert len(rows_of(page)) == len(rows)


def below(element: Element) -> list[Element]:
    found = [child for child in element.children if isinstance(child, Element)]
    return [*found, *(one for child in found for one in below(child))]


def test_a_page_that_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")

    def fail(done: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        write_report(path, evaluation, audio_limit=0, show=fail)
    assert path.read_text() == "before"
    assert list(tmp_path.glob(".s2t2-*")) == []


@pytest.mark.parametrize(
    ("name", "sentence"), [("no/report.html", "make it first: mkdir -p"), (".", "name a file in a folder")]
)
def test_a_place_without_hope_is_refused_before_any_work(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        check_place(tmp_path / name)
