"""Which of two adversaries trains: the released DeePSiM solver's rule."""

from dataclasses import dataclass


@dataclass
class Balance:
    """After each step, r = L_D / L_adv: below 0.1 the discriminator is too good and pauses, above 0.5 it goes
    on, above 10 the generator is too good and pauses until the discriminator has caught up (r below 0.1).
    """

    discriminator_trains: bool = True
    generator_trains: bool = True

    def after_step(self, ratio: float) -> None:
        if ratio < 0.1:
            self.discriminator_trains, self.generator_trains = False, True
        elif ratio > 10:
            self.discriminator_trains, self.generator_trains = True, False
        elif ratio > 0.5 and not self.discriminator_trains:
            self.discriminator_trains = True
