"""Why resuming cannot change a setting: one sentence for each kind of reason."""

NEW_WEIGHTS = "the trained weights belong to the model as it is"
NEW_VIEW = "the model would see its images another way than it learned to"
NEW_SPLIT = "training and validation images would be mixed"
NEW_IMAGES = "an epoch would have different batches"
NEW_MOMENTS = "what the optimizer has gathered of the gradients was gathered with it"
NEW_STATE = "the state of one optimizer is of no use to another"
OTHER_PLACE = "the run has a folder already; rename that instead"
