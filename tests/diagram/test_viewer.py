"""The HTML viewer in headless Chromium: no network, pan, zoom, search, click, phases, gradients."""

from __future__ import annotations

import re
import shutil

import pytest
from places import MODELS

from protonet.diagram.drawing import draw
from protonet.layer import TEST
from protonet.schema.read import parse_net

from .nets import NETS

DSN, LENET = MODELS / "lenet_dsn.prototxt", MODELS / "lenet.prototxt"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that selenium drives."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip(
            "there is no chromium with its chromedriver here (apt-get install chromium-driver)"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield running
    running.quit()


class Page:
    """A drawing, opened from its file."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get_log("performance")
        browser.get(path.as_uri())

    def run(self, script, *args):
        return self.browser.execute_script(f"return {script}", *args)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def view(self):
        return [float(n) for n in self.run("svg().getAttribute('viewBox')").split()]

    def node(self, name):
        """Return the group of a layer that is on the sheet."""
        index = self.run("net().nodes.findIndex((node) => node.name === arguments[0])", name)
        return self.find(f'.sheet:not([hidden]) .node[data-node="{index}"]')

    def click(self, element):
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).move_to_element(element).click().perform()

    def keys(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    @property
    def panel(self):
        return self.find("aside").text

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def show(browser, tmp_path):
    """Return a function that draws nets and opens the viewer."""

    def open_page(net, **options):
        path = tmp_path / "net.html"
        draw(net, path, **options)
        return Page(browser, path)

    return open_page


def test_no_network_and_no_complaints(show):
    page = show(DSN)
    urls = re.findall(
        r'"url":"([^"]+)"', " ".join(str(e["message"]) for e in page.browser.get_log("performance"))
    )
    assert urls and all(url.startswith(("file:", "about:", "data:", "chrome")) for url in urls)
    assert page.complaints() == []
    assert page.run("performance.getEntriesByType('resource').length") == 0


def test_file_holds_no_address():
    html = draw(DSN).render("html").decode()
    assert set(re.findall(r"https?://[^\"' <)]+", html)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in html


def test_overview_and_click(show):
    page = show(DSN)
    assert "459,890" in page.panel
    page.click(page.node("conv1"))
    for text in ("conv1", "Convolution", "lenet_dsn.prototxt:13", "20×1×5×5", "64×20×24×24"):
        assert text in page.panel
    assert "kernel_size: 5" in page.find("aside pre").text
    assert "selected" in page.node("conv1").get_attribute("class")
    page.click(page.node("ip1"))
    assert "in place: relu1 (ReLU)" in page.panel
    page.all("aside a")[0].click()
    assert page.find("aside h2").text == "pool2"
    page.keys("\ue00c")  # escape
    assert "459,890" in page.panel


def test_zoom_and_pan(show):
    page = show(DSN)
    before = page.view()
    page.find("#larger").click()
    larger = page.view()
    assert larger[2] == pytest.approx(before[2] / 1.25, rel=1e-3)
    page.keys("-")
    assert page.view()[2] == pytest.approx(before[2], rel=1e-3)
    from selenium.webdriver import ActionChains

    stage = page.find("#stage")
    ActionChains(page.browser).move_to_element_with_offset(
        stage, -300, 200
    ).click_and_hold().move_by_offset(50, -40).release().perform()
    moved = page.view()
    scale = moved[2] / stage.size["width"]
    assert moved[0] == pytest.approx(before[0] - 50 * scale, abs=2)
    assert moved[1] == pytest.approx(before[1] + 40 * scale, abs=2)
    ActionChains(page.browser).scroll_from_origin(_origin(stage), 0, -200).perform()
    assert page.view()[2] < moved[2]
    page.find("#whole").click()
    width, height = page.run("[size().width, size().height]")
    x, y, w, h = page.view()
    assert x <= 0.01 and y <= 0.01 and x + w >= width - 0.01 and y + h >= height - 0.01


def _origin(element):
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    return ScrollOrigin.from_element(element)


def test_search(show):
    page = show(parse_net(NETS["googlenet"]()))
    page.keys("/")
    page.keys("4c 3x3")
    assert page.find("#found").text == "2 found"
    assert len(page.all(".sheet:not([hidden]) .node.hit")) == 2
    page.keys("\ue007")  # enter
    assert page.find("#found").text == "1 of 2"
    assert page.find("aside h2").text == "inception_4c/3x3_reduce"
    box, view = page.node("inception_4c/3x3_reduce").rect, page.find("#stage").rect
    assert view["x"] < box["x"] and box["x"] + box["width"] < view["x"] + view["width"]
    assert view["y"] < box["y"] and box["y"] + box["height"] < view["y"] + view["height"]
    page.keys("\ue007")
    assert page.find("aside h2").text == "inception_4c/3x3"
    page.keys("\ue00c")
    assert page.all(".node.hit") == []


def test_phases(show):
    page = show(parse_net(NETS["googlenet"](), "googlenet.prototxt"))
    assert [button.text for button in page.all("[data-show]")] == ["TRAIN", "TEST"]
    names = "net().nodes.map((node) => node.name)"
    assert "loss3/top-1" not in page.run(names)
    page.run("select(net().nodes.findIndex((node) => node.name === 'loss1/conv'))")
    page.all("[data-show]")[1].click()
    assert "loss3/top-1" in page.run(names)
    assert page.find("aside h2").text == "loss1/conv", "the selection stays"
    assert len(page.all(".sheet:not([hidden])")) == 1
    page.keys("\ue00c")
    assert "TEST" in page.panel
    asked = show(parse_net(NETS["googlenet"]()), phase=TEST)
    assert [button.text for button in asked.all("[data-show]")] == ["TEST", "TRAIN"]


def test_gradients(show):
    page = show(DSN)
    back = page.all(".sheet:not([hidden]) .back")
    assert back and not any(element.is_displayed() for element in back)
    page.keys("g")
    assert all(element.is_displayed() for element in back)
    page.click(page.node("l1"))
    traced = page.run(
        "[...new Set([...sheet().querySelectorAll('.node.traced')]"
        ".map((group) => net().nodes[group.dataset.node].name))]"
    )
    assert traced == ["conv1", "pool1", "ip1_side", "l1"]
    page.find("#gradients").click()
    assert page.all(".traced") == [] or not page.run("stage.classList.contains('tracing')")


def test_keyboard(show):
    page = show(DSN)
    page.run("sheet().querySelector('.node').focus()")
    page.keys("\ue007")
    assert page.find("aside h2").text == "mnist"


def test_comparison(show):
    page = show(DSN, against=LENET)
    assert page.find("h1").text == "LeNet-DSN against LeNet"
    added = page.run(
        "[...sheet().querySelectorAll('.node.added')].map((g) => net().nodes[g.dataset.node].name)"
    )
    assert added == ["ip1_side", "l1"]
    page.click(page.node("l1"))
    assert "added against LeNet" in page.panel


def test_layers_that_cannot_run(show):
    page = show(parse_net(NETS["fork"]()))
    page.click(page.node("attend"))
    assert "unknown layer type 'SpatialPyramidAttention'" in page.panel
    assert page.complaints() == []


def test_names_that_are_markup(show):
    page = show(parse_net(NETS["alexnet"]().replace('"conv1"', '"</script><b>conv</b>"')))
    assert page.run("net().nodes[1].name") == "</script><b>conv</b>"
    page.click(page.node("</script><b>conv</b>"))
    assert page.find("aside h2").text == "</script><b>conv</b>"
    assert page.complaints() == []


def test_narrow_window(show, browser):
    browser.set_window_size(500, 900)
    try:
        page = show(DSN)
        aside, stage = page.find("aside").rect, page.find("#stage").rect
        assert aside["y"] >= stage["y"] + stage["height"] - 1
        assert stage["height"] > 200
    finally:
        browser.set_window_size(1300, 900)
