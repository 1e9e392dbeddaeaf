"""The page that describes the API, in a real browser."""

from support.pages import click


def test_an_address_is_found_and_opened(browser, server):
    """With its parameters, its answer and the shapes in it; the page's address leads back to it."""
    browser.open(f"{server.url}/api/docs")
    browser.wait("document.querySelectorAll('.topic > details').length > 30")
    browser.run("(f => (f.value = 'lineage', f.dispatchEvent(new Event('input'))))(document.querySelector('#find'))")
    seen = "[...document.querySelectorAll('.topic > details')].filter(each => each.offsetParent)"
    browser.wait(f"{seen}.length == 1")

    browser.run(f"{seen}[0].querySelector('summary').click()")
    browser.wait("document.body.innerText.includes('how many steps before and after it')")
    click(browser, "nodes")
    browser.wait("document.body.innerText.includes('A run or an artifact.')")
    there = browser.run("location.href")
    browser.open(there)
    browser.wait("document.querySelector('.topic > details[open] > summary')?.innerText.includes('/lineage')")


def test_nothing_sticks_out_on_a_phone(browser, server):
    browser.size(400, 800)
    browser.open(f"{server.url}/api/docs")
    browser.wait("document.querySelector('.topic')")

    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.size(1280, 900)
