"""Looking at a photograph for somebody who waits: which units of a layer does it excite?"""

from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.training.data.decoding import LARGEST, UndecodableError, decoded
from imago_engine.training.data.preparation import centre_square
from services.base.errors import Unavailable
from services.exemplars import percentiles
from services.search import excitations
from services.search.excitations import EXCITATIONS, ExcitationClaim
from services.search.neighbours import Neighbour, Scope, nearest
from worker.indexing.sight import Pixels, Sight
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lacking import LeftToOthers
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper
from worker.leasing.work_kinds import LeasedWork, Tend
from worker.loading.runtime import NotHere, Runtime, Unloadable
from worker.process.devices import end_without_device, is_device_lost

SHOWN = 50
"""Units that an answer names of each kind."""
EYE_SIZE = 256
_UNREADABLE = (
    "The photograph cannot be read; expected is a whole JPEG, PNG or WebP of at most "
    f"{LARGEST // 1_000_000} million pixels."
)
log = structlog.get_logger()


class Photographs(LeasedWork[ExcitationClaim]):
    """Answers one question a look."""

    kind = EXCITATIONS

    def __init__(self, held: HeldLeases, *, runtime: Runtime, sight: Sight) -> None:
        super().__init__(held)
        self._lacking = held.lacking
        self._runtime, self._sight = runtime, sight

    def claim(self, session: Session) -> ExcitationClaim | None:
        return excitations.claim(
            session, self._held.worker_id, lease_seconds=self._held.seconds, lacks=self._lacking.left
        )

    def waits(self) -> bool:
        """Whether there is something to claim. Raises `Unavailable`."""
        with self._database.session() as session:
            return excitations.waits(session, lacks=self._lacking.left)

    def tidy(self) -> None:
        """Forget answers that are too old."""
        with self._database.session() as session:
            excitations.forget_expired(session)

    def run(self, claim: ExcitationClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        try:
            result = self._look(claim, keeper)
        except (Interrupted, Unavailable):
            raise
        except UndecodableError as error:
            self._fail(claim, "not_a_picture", f"{_UNREADABLE} The reader says: {error}.")
        except Unloadable as error:
            if isinstance(error, NotHere) and self._leave(error):
                raise LeftToOthers(str(error)) from error
            self._fail(claim, error.code, str(error))
        except BaseException as error:  # of third-party code too, which may raise SystemExit
            if is_device_lost(error):
                end_without_device(error)
            log.exception("photograph_failed")
            self._fail(claim, "internal", f"{type(error).__name__}: {error}"[:500])
        else:
            with self._database.session() as session:
                excitations.finish(session, claim, result)
            log.info("photograph_looked_at", network=claim.network_id, layer=claim.layer)

    def _look(self, claim: ExcitationClaim, keeper: LeaseKeeper) -> dict[str, Any]:
        with keeper.computing([claim.id]):
            photograph = decoded(claim.photograph)
        with keeper.loading():
            network = self._runtime.network(claim.network_id, claim.network_sha256)
            self._lacking.found(f"network:{claim.network_id}")
        with self._database.session() as session:
            scanned = percentiles.size_of_photographs(session, claim.network_id, claim.layer)
        size = scanned or network.preprocessing.size
        with keeper.computing([claim.id]):
            responses = _responses(network, claim.layer, centre_square(photograph, size))
            embedding = self._sight.embeddings([centre_square(photograph, EYE_SIZE)])
        order = [int(unit) for unit in np.argsort(-responses, kind="stable")[:SHOWN]]
        alike: list[Neighbour] = []
        with self._database.session() as session:
            if embedding is not None:
                scope = Scope(claim.network_id, claim.layer)
                alike = list(nearest(session, embedding[0], scope, limit=SHOWN))
            shown = {*order, *(found.unit for found in alike)}
            asked = [(unit, float(responses[unit])) for unit in sorted(shown)]
            standing = percentiles.of_responses(
                session, claim.network_id, claim.layer, asked, input_size=size
            )

        def excited(unit: int) -> dict[str, Any]:
            return {"unit": unit, "activation": float(responses[unit]), "percentile": standing.get(unit)}

        return {
            "excited": [excited(unit) for unit in order],
            "alike": [
                {**excited(found.unit), "similarity": found.similarity, "digest": found.digest}
                for found in alike
            ],
        }

    def _leave(self, error: NotHere) -> bool:
        """Whether another worker may look, which has what this one cannot load."""
        return self._lacking.leave(self._database, self._held.worker_id, error.key, str(error))

    def _fail(self, claim: ExcitationClaim, code: str, message: str) -> None:
        with self._database.session() as session:
            excitations.fail(session, claim, code, message)
        log.warning("photograph_refused", code=code, reason=message)


@torch.inference_mode()
def _responses(network: Network, layer: str, picture: Pixels) -> NDArray[np.float32]:
    """Each unit's greatest response anywhere in a picture, uint8 RGB [S, S, 3]: float32 [C]."""
    with own_modes():
        found = find_layer(network, layer, len(picture))
    rgb = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    x = network.preprocessing(rgb.to(network.device, network.dtype))
    output = Prefix(network.module, found.name, found.layout)(x.contiguous(memory_format=torch.channels_last))
    greatest = output.float().flatten(2).amax(2)[0] if output.ndim == 4 else output.float()[0]
    responses: NDArray[np.float32] = greatest.nan_to_num().cpu().numpy()
    return responses
