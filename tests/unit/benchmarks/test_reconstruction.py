"""How well a generator inverts its encoder, as judges see it."""

import torch

from benchmarks.quality.assets import Photographs
from benchmarks.quality.measuring.judges import Judge
from benchmarks.quality.measuring.reconstruction import reconstruction
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.networks.load import load_network
from imago_engine.synthesis.stored_pixels import to_bytes
from imago_engine.weights import shipped_generator


def test_copies_of_what_a_generator_draws_are_nearer_to_it_than_to_others() -> None:
    generator = load_generator(shipped_generator())
    prior = generator.prior
    assert prior is not None
    drawn = to_bytes(generator(prior.code(prior.prototypes[:12].float())))  # [12, 3, 128, 128]
    judge = Judge(load_network("efficientnet_lite0.imagenet"), "bn2")
    said = judge(drawn).logits.argmax(1)
    classes = torch.where(torch.arange(12) % 3 > 0, said, -1)  # of some no class is known
    found = reconstruction(generator, Photographs(drawn, torch.arange(12), classes), [judge])
    assert found is not None
    assert found.features < found.features_of_others
    assert 0 <= found.agreement_top1 <= found.agreement_top5 <= 1
    assert found.agreement_top5 > 0.2  # of a thousand classes, by chance 0.005


def test_photographs_are_thinned_evenly_to_at_most_so_many() -> None:
    of_ten = Photographs(torch.zeros(10, 3, 4, 4), torch.arange(10), torch.arange(10))
    assert of_ten.every(4).synsets.tolist() == [0, 3, 6, 9]
    assert len(of_ten.every(100).images) == 10
