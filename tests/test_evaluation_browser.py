"""The report in a real browser: it sorts, filters, plays, and reaches for nothing outside itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import PROGRAM, Page
from evaluation_fixtures import record, write_rows
from s2t2_cli.evaluation.evaluation import evaluate
from s2t2_cli.evaluation.joining import join
from s2t2_cli.evaluation.report import write_report
from s2t2_cli.evaluation.scores import ScoreSettings
from s2t2_cli.evaluation.texts import read_texts

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on the PATH to show the report in")

REFERENCES = {
    "b.wav": "Wo ist der nächste Bahnhof?",
    "a.wav": "أين أقرب محطة قطار؟",
    "c.wav": "Ich hätte gern zwei Karten.",
    "d.wav": "Es ist halb acht.",
}
FIRST = {
    "a.wav": "أين أقرب مطار؟",
    "b.wav": "Wo ist der nächste Bahnhof?",
    "c.wav": "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)>",
    "d.wav": None,
}
SECOND = {
    "a.wav": "أين أقرب محطة قطار؟",
    "b.wav": "Wo ist Bahnhof?",
    "c.wav": "Ich hätte gern Karten.",
    "d.wav": "acht",
}

ORDER = "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).map(r => r.dataset.name).join(' ')"
SORTED = "[...document.querySelectorAll('thead th')].map(h => h.getAttribute('aria-sort'))"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for name in ("a.wav", "b.wav", "c.wav"):
        shutil.copy(clip, folder / name)
    (folder / "c.wav").write_bytes(b"no audio")
    references = [{"audio_filepath": name, "text": text} for name, text in REFERENCES.items()]
    files = [write_rows(folder / "refs.jsonl", references)] + [
        write_rows(folder / f"{number}.jsonl", [record(name, text) for name, text in system.items()])
        for number, system in enumerate((FIRST, SECOND), 1)
    ]
    rows, *systems = (read_texts(str(file)) for file in files)
    path = folder / "report.html"
    settings = ScoreSettings(bootstrap=20, paired="bootstrap")
    write_report(path, evaluate(join(rows, systems), settings))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("browser"))
    yield page
    page.close()


def test_the_worst_come_first_and_a_click_sorts(page: Page, report: Path) -> None:
    page.open(report)
    assert page.run(ORDER) == "d.wav c.wav a.wav b.wav"
    assert page.run(SORTED) == [None, None, "ascending", None]
    page.click("[data-sort=bleu0]")
    assert page.run(ORDER) == "b.wav a.wav c.wav d.wav"
    assert page.run(SORTED) == [None, None, "descending", None]
    page.click("[data-sort=change1]")
    assert page.run(ORDER).split()[0] == "b.wav", "where the second system lost most"
    assert page.run(SORTED) == [None, None, None, "ascending"]
    page.click("[data-sort=number]")
    assert page.run(ORDER) == "b.wav a.wav c.wav d.wav"


def test_the_keyboard_sorts(page: Page, report: Path) -> None:
    page.open(report)
    page.run("document.querySelector('[data-sort=number]').focus()")
    page.press("Tab")
    assert page.run("document.activeElement.dataset.sort") == "name"
    page.press("Enter")
    assert page.run(ORDER) == "a.wav b.wav c.wav d.wav"
    page.press("Enter")
    assert page.run(ORDER) == "d.wav c.wav b.wav a.wav"


def test_what_is_unknown_comes_last_either_way(page: Page, report: Path) -> None:
    for direction in ("ascending", "descending"):
        page.open(report, f"#sort=seconds-{direction}")
        assert page.run(ORDER) == "b.wav a.wav c.wav d.wav"


def test_words_filter_what_is_shown(page: Page, report: Path) -> None:
    page.open(report)
    page.press("/", "/")
    assert page.run("document.activeElement.id") == "filter"
    for letter in "wo bahn":
        page.press(letter, letter)
    page.until("location.hash.includes('filter=wo+bahn')")
    assert page.run(ORDER) == "b.wav"
    assert page.run("document.getElementById('count').textContent") == "1 of 4 utterances"


def test_an_address_remembers_order_and_filter(page: Page, report: Path) -> None:
    page.open(report, "#sort=name-descending&filter=ich")
    assert page.run(ORDER) == "c.wav"
    assert page.run("document.querySelector('[data-sort=name]').dataset.order") == "descending"


def test_texts_stay_texts_and_nothing_is_fetched(page: Page, report: Path) -> None:
    page.open(report)
    assert page.run("document.title") == f"{report.parent}/1.jsonl, {report.parent}/2.jsonl · evaluation"
    assert FIRST["c.wav"] in page.run("[...document.querySelectorAll('.text')].map(p => p.textContent)")
    assert page.run("document.querySelectorAll('script').length") == 1
    page.until("document.querySelectorAll('audio').length === 2")
    page.run("new Promise(done => setTimeout(done, 100))")
    assert [event["params"] for event in page.events if event["method"] == "Log.entryAdded"] == []
    assert not any(event["method"] == "Runtime.exceptionThrown" for event in page.events)
    addresses = {event["params"]["request"]["url"].partition("#")[0] for event in requests(page)}
    assert {address for address in addresses if not address.startswith("data:")} == {report.as_uri()}


def requests(page: Page) -> list[dict[str, Any]]:
    return [event for event in page.events if event["method"] == "Network.requestWillBeSent"]


def test_recordings_play(page: Page, report: Path) -> None:
    page.open(report)
    page.until("document.querySelectorAll('audio').length === 2")
    seconds = page.run(
        "new Promise((done, failed) => { const a = document.querySelector('audio'); a.preload = 'auto';"
        " a.addEventListener('loadedmetadata', () => done(a.duration)); a.addEventListener('error', failed);"
        " a.load(); })"
    )
    assert seconds == pytest.approx(2.8, abs=0.1)


def test_only_one_plays_at_a_time(page: Page, report: Path) -> None:
    page.open(report)
    page.until("document.querySelectorAll('audio').length === 2")
    # Without a sound card nothing really plays; the event is what the page listens to.
    paused = page.run(
        "(() => { const [one, other] = document.querySelectorAll('audio'); let paused = 0;"
        " one.pause = () => { paused += 1; }; other.dispatchEvent(new Event('play')); return paused; })()"
    )
    assert paused == 1


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_it_fits_any_window(page: Page, report: Path, width: int) -> None:
    page.open(report, width=width)
    assert page.run("document.documentElement.scrollWidth") <= width
    # On a phone a menu sorts, where there is no room for the heads of columns.
    assert page.run("getComputedStyle(document.querySelector('label.sort')).display !== 'none'") is (width <= 820)


def test_the_menu_sorts_on_a_phone(page: Page, report: Path) -> None:
    page.open(report, width=390)
    page.run("(s => { s.value = 'name'; s.dispatchEvent(new Event('change')); })(document.getElementById('sort'))")
    page.click("#direction")
    assert page.run(ORDER) == "d.wav c.wav b.wav a.wav"


def test_arabic_runs_from_right_to_left(page: Page, report: Path) -> None:
    page.open(report)
    directions = "[...document.querySelectorAll('tr[data-name=\"{}\"] .text')].map(p => getComputedStyle(p).direction)"
    assert page.run(directions.format("a.wav")) == ["rtl"] * 3
    assert page.run(directions.format("b.wav")) == ["ltr"] * 3


def test_light_and_dark(page: Page, report: Path) -> None:
    page.open(report)
    paper = "getComputedStyle(document.body).backgroundColor"
    page.click("#theme")
    light = page.run(paper)
    page.click("#theme")
    assert page.run("document.getElementById('theme').textContent") == "Theme: dark"
    assert page.run(paper) != light
