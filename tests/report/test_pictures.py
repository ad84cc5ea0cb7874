"""Pictures beside findings."""

import json

from automl.report.page import write
from automl.report.run_files import gather
from tests.report.made_run import make_run


def test_findings__show_the_images_that_they_name(tmp_path):
    run = make_run(tmp_path, "classification")
    sample = gather(run).dataset.samples
    found = {
        "code": "near_duplicate",
        "severity": "warning",
        "file": sample[0].path,
        "reason": f"nearly equal to `{sample[1].path}`",
        "cure": "keep one",
        "waived": "frames of one video",
    }
    lost = {**found, "code": "broken_image", "file": "no/such.png", "reason": "cut"}
    run.findings.write_text(json.dumps([found, lost]))
    write(run)
    page = run.report.read_text()
    shown = page[page.index('<div class="thumbs">') :].partition("</div>")[0]
    assert shown.count('<img src="data:image/jpeg;base64,') == 2
    assert f'alt="{sample[1].path}"' in shown
    assert page.count('<div class="thumbs">') == 1
    assert "waived: frames of one video" in page
