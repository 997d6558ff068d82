"""A classifier on a network's frozen features: the features are computed once, what is fitted on them takes seconds."""
