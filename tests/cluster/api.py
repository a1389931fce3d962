"""The API of a cluster, which its customers reach at every node."""

from dataclasses import dataclass

from cluster.running import Cluster
from engine.local.demo import key_file
from tests.e2e.api_client import Answer, send
from tests.e2e.booking import fictional_number


@dataclass(frozen=True)
class Booked:
    id: str
    service: str


class ClusterApi:
    """A customer's client, which asks another node if one does not answer or cannot."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        first = cluster.nodes[0].settings
        key = key_file(first.data_dir).read_text().strip()
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def request(self, method: str, path: str, body: dict[str, object] | None = None) -> Answer:
        answer = Answer(0, None)
        for node in self._cluster.nodes:
            answer = send(method, node.settings.http_url + path, body, self._headers)
            if answer.status not in (0, 503):
                break
        return answer

    def book(self, plan: str, callback: str) -> Booked:
        wanted: dict[str, object] = {"destination": fictional_number(), "usagePlan": plan, "callback": callback}
        answer = self.request("POST", "/bookings", wanted)
        assert answer.status == 201, answer
        return Booked(answer.body["id"], answer.body["service"])
