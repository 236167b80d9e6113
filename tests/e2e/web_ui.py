"""Airflow's web UI in a real browser, as an operator uses it: a DAG's switch, its trigger form, the form that asks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.e2e.running_pipeline import START_S, RunningPipeline

#: Debian's; Playwright's own is a download that the hashes of the lock do not cover.
CHROMIUM = shutil.which("chromium")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-proxy-server"]
DESKTOP, PHONE = (1280, 800), (390, 844)
NEWEST_RUN = "SELECT run_id FROM dag_run WHERE dag_id = %s AND id > %s ORDER BY id DESC LIMIT 1"
NEWEST_ID = "SELECT coalesce(max(id), 0) FROM dag_run"
STATE = "SELECT state FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = %s"


class WebUi:
    """One page of one browser, logged in as the admin."""

    def __init__(self, page: Page, pipeline: RunningPipeline) -> None:
        self.page = page
        self._pipeline = pipeline
        self._address = f"http://127.0.0.1:{pipeline.environ['TRADING_UI_PORT']}"

    def log_in(self) -> None:
        """By the form that everybody sees first."""
        self.show("/")
        self.page.fill("input[name=username]", "admin")
        self.page.fill("input[name=password]", self._pipeline.password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self._address}/", wait_until="commit")

    def show(self, path: str) -> None:
        """Go to a page; whatever is looked for next is waited for."""
        self.page.goto(self._address + path, wait_until="commit")

    def switch(self) -> Locator:
        """Of the DAG whose page is shown: on is running, off is paused."""
        return self.page.get_by_test_id("toggle-pause").first

    def throw_switch(self, *, on: bool) -> datetime:
        """Click on the switch of the DAG that is shown; when that was."""
        expect(self.switch()).to_have_attribute("data-state", "unchecked" if on else "checked")
        clicked_at = datetime.now(UTC)
        self.switch().click()
        return clicked_at

    def trigger(self, dag_id: str, **fields: str) -> str:
        """Start a run by the DAG's form; its id."""
        ((newest,),) = self._pipeline.sql(NEWEST_ID)
        self.show(f"/dags/{dag_id}")
        self.page.get_by_test_id("trigger-dag-button").first.click()
        for name, value in fields.items():
            self.page.locator(f"#element_{name}").fill(value)
        self.page.get_by_test_id("trigger-dag-submit").click()
        self._pipeline.until(lambda: self._pipeline.sql(NEWEST_RUN, dag_id, newest), START_S, f"{dag_id} is triggered")
        run_id: str = self._pipeline.sql(NEWEST_RUN, dag_id, newest)[0][0]
        return run_id

    def show_form(self, dag_id: str, run_id: str, task_id: str) -> None:
        """What a task asks, once it does."""
        waits = [("awaiting_input",)]
        self._pipeline.until(
            lambda: self._pipeline.sql(STATE, dag_id, run_id, task_id) == waits, START_S, f"{dag_id} asks"
        )
        self.show(f"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/required_actions")

    def answer(self, option: str, **fields: str) -> None:
        """Fill the form in that is shown, and choose."""
        for name, value in fields.items():
            self.page.locator(f"#element_{name}").fill(value)
        self.page.get_by_test_id(f"hitl-option-{option}").click()


@contextmanager
def opened(pipeline: RunningPipeline, size: tuple[int, int] = DESKTOP) -> Iterator[WebUi]:
    """A browser, logged in; it looks for something for as long as a start may take."""
    expect.set_options(timeout=START_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS, timeout=START_S * 1000)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(START_S * 1000)
        ui = WebUi(page, pipeline)
        ui.log_in()
        yield ui
        browser.close()
