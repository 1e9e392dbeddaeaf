"""HTML that is made here, and texts in it that are not."""

import json

from fulgurite.track.report.markup import Markup, h, json_script


def test_texts_and_values_of_attributes_are_escaped():
    made = h("a", "<b>&", 3, None, [h("i", "x")], href='"><script>', kind="quiet")

    assert made == '<a href="&quot;&gt;&lt;script&gt;" class="quiet">&lt;b&gt;&amp;3<i>x</i></a>'
    assert isinstance(made, Markup)


def test_an_attribute_that_is_none_is_left_out_and_one_that_is_true_stands_alone():
    assert h("input", checked=True, title=None, aria_label="all") == '<input checked aria-label="all">'


def test_no_text_ends_a_script_of_data():
    """What JSON does not know, numbers that are not finite, becomes null."""
    made = json_script({"name": "</script><!--", "values": [1.5, float("nan")]}, id="data")

    inside = made.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == {"name": "</script><!--", "values": [1.5, None]}
