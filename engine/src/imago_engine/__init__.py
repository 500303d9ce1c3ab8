"""imago_engine: preferred inputs of a network's units. At its root are the words that describe them.

The words are plain descriptions, made of pydantic models and dataclasses; importing them loads no torch.
Whatever speaks of a picture or of a training (the API, the service, the command line, the engine itself)
imports them from here, so that each name, range, default and description is written once:

- `techniques`: ways to make a picture, each with its parameters, its version and what it needs
- `objectives`: what a picture is to excite, such as one unit of a layer
- `specs`: everything that determines one picture, and the digest that names it
- `artifacts`: what comes of a spec: an image, a crop, a code, a trace
- `networks`, `generators`: what a network, a layer and a generator are, and what ids and files say of them
- `trainings`: how generators are trained: presets, their options, and what every training can be asked for
- `units`: selections of units such as "0-7,12"
- `canonical`: one JSON text for each value, and its SHA-256
- `validation`: what pydantic found wrong, in words for people
"""
