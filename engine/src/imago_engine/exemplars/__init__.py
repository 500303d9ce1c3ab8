"""Words of exemplars, without torch: the quantiles that are told of a unit, and what they say."""
