"""`imago delete`, and `imago networks remove`: forget what nothing needs."""

from typing import Annotated

import typer

from imago.cli.session import JsonFlag, session_of


def delete(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB|ATLAS|TRAINING|SCAN|GENERATOR…",
            help="Ids, such as job_01…, atl_01…, trn_01…, scn_01… or a name.",
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Remove ended jobs, trainings and scans, atlases, and generators that nothing needs. Pictures stay.

    An import that goes on ends so, too.
    """
    session = session_of(context, as_json)
    for id in what:
        if id.startswith("job_"):
            session.client.remove_job(id)
        elif id.startswith("atl_"):
            session.client.atlases.remove(id)
        elif id.startswith("trn_"):
            session.client.remove_training(id)
        elif id.startswith("scn_"):
            session.client.remove_scan(id)
        else:
            session.client.remove_generator(id)
        _tell(context, id, as_json)


def remove_network(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="NETWORK…", help="Ids of networks.")],
    as_json: JsonFlag = False,
) -> None:
    """Remove networks that nothing needs: no picture, no job, no training."""
    session = session_of(context, as_json)
    for id in ids:
        session.client.remove_network(id)
        _tell(context, id, as_json)


def _tell(context: typer.Context, id: str, as_json: bool) -> None:
    session = session_of(context, as_json)
    if session.as_json:
        session.emit_line({"removed": id})
    else:
        session.say(f"{id} is removed.")
