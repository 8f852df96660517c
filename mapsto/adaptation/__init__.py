"""The parts that learners share: the inner loop, its derivatives and optimizers, losses, labels and normalisation."""
