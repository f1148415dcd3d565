"""The page in Chromium: what a reader sees, finds and reaches without a mouse.

The reconcilers run as processes on a cluster of their own. Each test fails on an error
in the console, which a violation of the Content-Security-Policy is as well.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

from tests.page import scene
from tests.page.chromium import Scheme, Window
from tests.page.conftest import Site, Thread
from tests.reconciler.page.bench import Bench, ready

SYNCS, COPIES = 5_000, 10_000
ROWS = "#content tbody tr"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

Windows = Callable[..., Window]
Serve = Callable[..., Thread]


@pytest.fixture
def reader(window: Windows, site: Site) -> Iterator[Page]:
    """The leader's page in a window; nothing may go wrong in it."""
    made = window()
    yield made.open(site.leader)
    assert made.problems == []
    assert [url for url in made.requested if not url.startswith(site.leader)] == []


def rows(page: Page) -> list[str]:
    return page.locator(f"{ROWS} td:nth-child(2) .name").all_inner_texts()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText || document.activeElement.id"))


def test_the_worst_syncs_come_first_with_state_count_and_reason(reader: Page) -> None:
    expect(reader.locator(ROWS)).to_have_count(len(scene.SYNCS))
    first = reader.locator(ROWS).first

    expect(first).to_contain_text("Failed")
    expect(first).to_contain_text("platform/log-settings")
    expect(first).to_contain_text("2/3")
    expect(first).to_contain_text("DestinationConflict")
    expect(reader.locator(".tile.failed")).to_contain_text("3")
    expect(reader).to_have_title("(3) ConfigMapSync")


def test_a_sync_opens_with_the_cause_the_cure_and_the_command(reader: Page) -> None:
    reader.get_by_role("link", name="platform/rate-limits").click()
    details = reader.get_by_role("complementary", name="Details")

    expect(details.get_by_role("heading", name="platform/rate-limits")).to_be_focused()
    expect(details).to_contain_text("What to do about NamespaceNotFound")
    expect(details).to_contain_text("kubectl create namespace team-returns")
    expect(details.locator(".destinations li")).to_have_count(4)
    expect(details.locator(".destinations li.failed, .destinations li").nth(1)).to_be_visible()
    expect(details).to_contain_text("Last events")


def test_a_change_in_the_cluster_appears_without_a_reload(reader: Page, site: Site) -> None:
    row = reader.locator(ROWS).filter(has_text="late/arrival")
    scene.create_namespace(site.cluster, "late")
    scene.create_sync(
        site.cluster, "late", "arrival", configMapName="news", destinationNamespace="team-web"
    )
    expect(row).to_contain_text("SourceNotFound")

    scene.create_configmap(site.cluster, "late", "news")
    expect(row).to_contain_text("Synced")
    expect(row).to_contain_text("1/1")

    site.cluster.delete("/apis/apps.nishaf.info/v1/namespaces/late/configmapsyncs/arrival")
    expect(row).to_have_count(0)


def test_the_filter_is_part_of_the_address(reader: Page) -> None:
    reader.get_by_role("searchbox").fill("dashboards")
    expect(reader.locator(ROWS)).to_have_count(2)
    reader.get_by_role("link", name="Graph").click()
    expect(reader.locator(".node.sync")).to_have_count(2)

    reader.reload()

    expect(reader.locator(".node.sync")).to_have_count(2)
    expect(reader.get_by_role("searchbox")).to_have_value("dashboards")
    reader.go_back()
    expect(reader.locator(ROWS)).to_have_count(2)


def test_the_counts_filter_by_state(reader: Page) -> None:
    reader.locator("a.tile.failed").click()

    expect(reader.locator(ROWS)).to_have_count(3)
    expect(reader.locator("a.tile.failed")).to_have_attribute("aria-current", "true")
    reader.get_by_label("Reason", exact=True).select_option("SourceNotFound")
    expect(reader.locator(ROWS)).to_have_count(1)


def test_the_graph_draws_sources_syncs_destinations_and_chains(reader: Page) -> None:
    reader.get_by_role("link", name="Graph").click()
    expect(reader.locator(".node.sync")).to_have_count(len(scene.SYNCS))

    conflict = reader.get_by_role("region", name="Destinations of platform/log-settings")
    expect(conflict.locator("li").first).to_have_text("Failedteam-search")
    expect(reader.locator(".node.source").filter(has_text="not found")).to_have_count(1)
    # The source of the second dashboards sync is a copy of the first one, so it has no node.
    expect(reader.locator(".node.source")).to_have_count(len(scene.SYNCS) - 1)
    assert reader.locator("path.edge").count() == 2 * len(scene.SYNCS)

    reader.locator(".node.sync").filter(has_text="observability/dashboards").click()
    reader.get_by_role("link", name="Show in graph").click()
    expect(reader.locator(".node.sync")).to_have_count(2)
    expect(reader.locator(".caption")).to_contain_text("The chain of observability/dashboards")


def test_copies_and_events_have_their_own_views(reader: Page) -> None:
    reader.get_by_role("link", name="Copies").last.click()
    expect(reader.locator(ROWS).first).to_contain_text("team-search/log-settings")
    reader.get_by_label("State", exact=True).select_option("synced")
    expect(reader.locator(ROWS).first).to_contain_text("Synced")

    reader.get_by_role("link", name="Events").click()
    expect(reader.locator(ROWS).filter(has_text="SourceNotFound").first).to_be_visible()


def test_everything_is_reached_without_a_mouse(reader: Page) -> None:
    expect(reader.locator(ROWS)).to_have_count(len(scene.SYNCS))
    reader.keyboard.press("Tab")
    assert focused(reader) == "Skip to the content"
    reader.keyboard.press("/")
    assert focused(reader) == "text"
    reader.keyboard.type("platform/")
    expect(reader.locator(ROWS)).to_have_count(6)
    reader.keyboard.press("ArrowDown")
    reader.keyboard.press("ArrowDown")
    name = focused(reader)
    assert name == rows(reader)[1]

    reader.keyboard.press("Enter")
    expect(reader.get_by_role("heading", name=name)).to_be_focused()
    reader.keyboard.press("Escape")
    expect(reader.get_by_role("complementary", name="Details")).to_be_hidden()
    expect(reader.get_by_role("link", name=name)).to_be_focused()


def test_the_focus_stays_on_a_row_that_is_drawn_again(serve: Serve, window: Windows) -> None:
    served = serve()
    served.call(lambda bench: bench.put_sync("home", "first"))
    page = window().open(served.url)
    page.get_by_role("link", name="home/first").focus()

    served.call(lambda bench: bench.put_sync("home", "second"))

    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.get_by_role("link", name="home/first")).to_be_focused()


def test_a_link_is_not_replaced_while_nothing_changes(reader: Page) -> None:
    """A link that is replaced between press and release of the mouse gets no click."""
    links = [
        reader.locator(f"{place} a").first.element_handle()
        for place in (".views", ".summary", "#content")
    ]
    for _ in range(2):
        reader.wait_for_event("response", lambda answer: answer.url.endswith("/api/state"))

    assert [link.evaluate("link => link.isConnected") for link in links] == [True] * 3


def test_a_text_that_is_typed_survives_a_change(serve: Serve, window: Windows) -> None:
    def fill(bench: Bench) -> None:
        bench.put_sync("home", "large", status=ready(desired=20, synced=20))
        for number in range(20):
            bench.put_copy(f"team-{number:02}", "config", "home/large")

    served = serve()
    served.call(fill)
    page = window().open(f"{served.url}/?sync=home/large")
    typed = page.get_by_label("Filter the destinations")
    typed.press_sequentially("team-1")
    expect(page.locator(".destinations li")).to_have_count(10)

    served.call(lambda bench: bench.put_copy("team-100", "config", "home/large"))

    expect(page.locator(".destinations li")).to_have_count(11)
    expect(typed).to_be_focused()
    expect(typed).to_have_value("team-1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?view=graph",
        "/?view=copies",
        "/?view=events",
        "/?q=nothing",
        "/?sync=platform/log-settings",
    ],
)
def test_axe_finds_no_barrier(site: Site, window: Windows, path: str, scheme: Scheme) -> None:
    made = window(scheme=scheme)
    page = made.open(site.leader + path)
    if "sync=" in path:
        expect(page.get_by_role("complementary", name="Details")).to_contain_text("Last events")

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    assert made.problems == []


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
@pytest.mark.parametrize("path", ["/", "/?view=graph", "/?view=copies&sync=platform/ca-bundle"])
def test_the_page_never_scrolls_sideways(
    site: Site, window: Windows, path: str, width: int
) -> None:
    page = window(width=width).open(site.leader + path)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_follows_the_system_until_it_is_set(site: Site, window: Windows) -> None:
    page = window(scheme="dark").open(site.leader)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)

    page.get_by_label("Theme").select_option("light")
    light = page.evaluate(ground)
    page.reload()

    assert light != dark
    assert page.evaluate(ground) == light
    page.get_by_label("Theme").select_option("")
    assert page.evaluate(ground) == dark


def test_a_standby_says_so_and_names_the_leader(site: Site, window: Windows) -> None:
    page = window().open(site.standby)

    expect(page.locator("#replica")).to_have_text("Standby")
    expect(page.locator("#notices")).to_contain_text("This replica is on standby.")
    expect(page.locator("#notices")).to_contain_text("port-forward pod/")
    expect(page.locator(ROWS)).to_have_count(len(scene.SYNCS))
    page.get_by_role("link", name="Events").click()
    expect(page.locator("#content")).to_contain_text("Only the leader emits events.")


def test_an_unreachable_reconciler_is_reported_until_it_answers(
    site: Site, window: Windows
) -> None:
    made = window()
    page = made.open(site.leader)

    made.offline(offline=True)
    expect(page.locator("#live")).to_have_text("Not connected")
    expect(page.locator("#notices")).to_contain_text("The reconciler does not answer.")
    expect(page.locator(ROWS)).to_have_count(len(scene.SYNCS))

    made.offline(offline=False)
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#notices")).to_be_empty()


def test_a_starting_reconciler_says_what_it_waits_for(serve: Serve, window: Windows) -> None:
    page = window().open(serve(synced=False).url)

    expect(page.locator("#notices")).to_contain_text("waits for the list of configmapsyncs")
    expect(page.locator("#content")).to_contain_text("Not complete yet.")
    expect(page.locator(".figure").first).to_have_text("\u2013")


def test_an_empty_cluster_says_what_to_do(serve: Serve, window: Windows) -> None:
    page = window().open(serve().url)

    expect(page.locator("#content")).to_contain_text("There is no ConfigMapSync yet.")
    page.get_by_role("searchbox").fill("nothing")
    expect(page.locator("#content")).to_contain_text("No sync matches the filter.")


def test_markup_in_names_and_messages_is_text(serve: Serve, window: Windows) -> None:
    def fill(bench: Bench) -> None:
        failure = {"namespace": HOSTILE, "reason": HOSTILE, "message": HOSTILE}
        status = ready(HOSTILE, HOSTILE, synced=0, failures=[failure])
        bench.put_sync("home", "hostile", status=status)

    served, made = serve(), window()
    served.call(fill)
    for path in ("/", "/?view=graph", "/?view=copies", "/?sync=home/hostile"):
        page = made.open(served.url + path)
        expect(page.locator("body")).to_contain_text(HOSTILE)
        assert page.locator("img").count() == 0
        assert "owned" not in page.title()
    assert made.problems == []


def test_no_value_of_a_configmap_reaches_the_browser(site: Site, window: Windows) -> None:
    made, bodies, answers = window(), list[str](), list[Response]()

    def note(answer: Response) -> None:
        answers.append(answer)

    made.page.on("response", note)
    for path in ("/?sync=platform/ca-bundle", "/?view=graph", "/?view=copies", "/?view=events"):
        made.open(site.leader + path)
        made.page.wait_for_load_state("networkidle")
        # The browser drops the bodies of a page when it opens the next one.
        bodies += [answer.text() for answer in answers if answer.ok]
        answers.clear()

    assert len(bodies) > 10
    assert not [body for body in bodies if scene.SECRET_VALUE in body]


@pytest.mark.timeout(300)  # for a loaded machine
def test_ten_thousand_copies_are_paged_and_found(serve: Serve, window: Windows) -> None:
    def fill(bench: Bench) -> None:
        for number in range(SYNCS):
            bench.put_sync("home", f"sync-{number:04}")
            bench.put_copy(f"team-{number}", "own", f"home/sync-{number:04}")
        bench.put_sync("home", "large", status=ready(desired=SYNCS, synced=SYNCS))
        for number in range(COPIES - SYNCS):
            bench.put_copy(f"team-{number:04}", "config", "home/large")

    served = serve()
    served.call(fill)
    page = window().open(f"{served.url}/?view=copies&offset=9900")
    pages = page.get_by_role("navigation", name="Pages")

    expect(pages).to_contain_text("9,901 to 10,000 of 10,000 copies")
    expect(page.locator(ROWS)).to_have_count(100)
    pages.get_by_role("link", name="Previous").click()
    expect(pages).to_contain_text("9,801 to 9,900")
    page.get_by_role("searchbox").fill("team-4321/own")
    expect(page.locator(ROWS)).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    page.get_by_role("link", name="Graph").click()
    expect(page.locator(".caption")).to_contain_text("30 of 5,001 syncs")
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    page.goto(f"{served.url}/?sync=home/large")
    details = page.get_by_role("complementary", name="Details")
    expect(details).to_contain_text("50 of 5,000 destinations")
    details.get_by_label("Filter the destinations").fill("team-0777")
    expect(details.locator(".destinations li")).to_have_count(1)
    expect(details.locator(".destinations li")).to_have_text(re.compile("team-0777"))
