"""What `make demo` reports, of what the API tells."""

import imago
from infra.local.demo import Report, report_of
from tests.client.conftest import NETWORK, Service


def test_the_report_of_the_demo_is_made_of_what_the_api_tells(service: Service, client: imago.Client) -> None:
    job = client.submit(NETWORK, ["output/0-2", "blocks.3/1"])
    service.work(3)
    service.fail(service.claim(), "out of luck")
    demo = {
        "layers": [
            {"name": "classifier", "quantiles": {"0": [-1e9, 0.0, 1e9, 2e9]}},
            {"name": "blocks.3", "quantiles": {}},
        ]
    }
    assert report_of(list(job.items()), demo, 7.25) == Report(
        pictures=3,
        failed=1,
        unreachable=0,
        seconds_total=7.2,
        seconds_compute=6.0,
        mean_activation_percentile=50.0,
    )
