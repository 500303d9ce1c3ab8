"""How many CPU threads to use while others share the machine.

Threads of one step wait for each other; when another process takes a core, a step on both cores can be
slower than on one. Which is better changes as neighbours come and go, so it is tried again and again.
"""

import torch


class ThreadChoice:
    """Tries 1, 2, 4, … `most` threads, `trial` steps each, keeps the fastest for `hold` steps, and again."""

    def __init__(self, most: int, trial: int = 4, hold: int = 120) -> None:
        self.candidates = sorted({most, *(2**n for n in range(most.bit_length()) if 2**n <= most)})
        self.trial, self.hold = trial, hold
        self._begin()

    def _begin(self) -> None:
        self._seconds = dict.fromkeys(self.candidates, 0.0)
        self._done = 0
        torch.set_num_threads(self.candidates[0])

    def after_step(self, seconds: float) -> None:
        """To be told how long each step took."""
        trials = self.trial * len(self.candidates)
        if self._done < trials:
            self._seconds[self.candidates[self._done // self.trial]] += seconds
        self._done += 1
        if self._done < trials:
            torch.set_num_threads(self.candidates[self._done // self.trial])
        elif self._done == trials:
            torch.set_num_threads(min(self.candidates, key=lambda count: self._seconds[count]))
        elif self._done >= trials + self.hold:
            self._begin()
