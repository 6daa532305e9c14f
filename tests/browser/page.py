"""The page as its users see it: tabs, buttons, what a run says and shows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")
PATIENCE = 900  # seconds, after which a page hangs: no machine is so busy


class Page:
    """A page in a browser, newly loaded, that has a button."""

    def __init__(self, browser: Chrome, address: str, button: str = "Denoise"):
        self.browser = browser
        for log in ("performance", "browser"):
            browser.get_log(log)  # what another test left
        self.resize(1280, 900)
        browser.get(address)
        self.wait(lambda: self.button(button))

    def resize(self, width: int, height: int) -> None:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def wait(self, ask: Callable[[], T]) -> T:
        """The first answer that is true; a page that is being drawn again may not have any."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if answer := ask():
                    return answer
            except (WebDriverException, IndexError, StopIteration, ValueError):
                pass
            assert time.monotonic() < end, f"nothing came; the page says {self.status()!r}"
            time.sleep(0.05)

    def tab(self, name: str) -> None:
        self._named("button[role=tab]:not([tabindex='-1'])", name).click()

    def button(self, name: str) -> WebElement:
        return self._named("button:not([role]):not([tabindex='-1'])", name)

    def press(self, name: str) -> None:
        """Press a button as soon as it is there and nothing moves it."""
        self.wait(lambda: self.button(name).click() or True)

    def status(self) -> str:
        """What the open tab says about its run."""
        return next(e.text for e in self.browser.find_elements(By.CLASS_NAME, "status") if e.is_displayed())

    def finished(self) -> str:
        """The status of a run that has come to its end."""
        return self.wait(lambda: self.status() if self.status().startswith("Done") else "")

    def upload(self, path: Path) -> None:
        """Give the open tab a recording, and wait until its name or length is shown."""
        inputs = self.browser.find_elements(By.CSS_SELECTOR, "input[type=file]")
        shown = [
            i for i in inputs if i.find_element(By.XPATH, "ancestor::*[@role='tabpanel']").is_displayed()
        ]
        shown[0].send_keys(str(path))
        self.wait(lambda: self.displayed("[aria-label='Clear'], [aria-label='Remove']"))

    def take_sample(self) -> None:
        self.press("Use the sample")
        self.wait(lambda: self.displayed("[aria-label='Clear'], [aria-label='Remove']"))

    def inside(self, element: str, selector: str) -> list[WebElement]:
        """What the page's own element in the open tab shows."""
        (host,) = self.displayed(element)
        return host.shadow_root.find_elements(By.CSS_SELECTOR, selector)

    def ask(self, script: str, *values: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *values)

    def tracks(self, fact: str) -> list[Any]:
        """A property of every audio element of the player."""
        return [self.ask(f"arguments[0].{fact}", track) for track in self.inside("speech-player", "audio")]

    def requests(self) -> list[str]:
        """Addresses that the page has asked for."""
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [
            m["params"]["request"]["url"]
            for m in messages
            if m["method"] == "Network.requestWillBeSent"
            and not m["params"]["documentURL"].startswith("chrome:")
        ]

    def displayed(self, selector: str) -> list[WebElement]:
        """The elements that the open tab shows."""
        return [e for e in self.browser.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()]

    def _named(self, selector: str, name: str) -> WebElement:
        return next(e for e in self.displayed(selector) if e.text.split("\n")[0].strip() == name)
