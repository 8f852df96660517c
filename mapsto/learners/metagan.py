"""Train a learner to tell real examples of a task from generated fakes, which sharpens its class boundaries.

    fakes = G(z, h),   h = Σ_i w_i·e(x_i) / Σ_i w_i              the generator sees noise and the support set's mean
    state = adapt(support ∪ G(codes, h)), the fakes having class N + 1
    L_D = Σ_query w·(−log p(y | x)) + v·Σ_fakes (−log p(N+1 | fake))        for the learner, with constant fakes
    L_G = v·Σ_fakes (−log Σ_{y≤N} p(y | fake))                              for the generator, with a constant learner

N is the number of real classes, and v is the query set's total weight divided by the number of fakes. Zhang, Che,
Ghahramani, Bengio & Song 2018, "MetaGAN: An Adversarial Approach to Few-Shot Learning", eq. 1 to 4: their supervised
and unsupervised terms, −log p(y | x, y ≤ N) − log p(y ≤ N | x), sum to −log p(y | x). The class for fakes comes from
Salimans et al. 2016, "Improved Techniques for Training GANs", §5.

The min-max problem is one loss, L_D + L_G. L_D sends no gradient to the generator and L_G none to the learner, so one
step of any optimizer moves the learner down L_D and the generator down L_G.

Differences: both networks move at once, not in turns. The fakes of the support set come from fixed codes, so that
adapting needs no noise, and together they weigh as much as one class. The paper has relation networks instead of
prototypes; with prototypes, the class for fakes has a prototype too. The semi-supervised term, in which unlabelled
examples count as real, is left out.
"""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.func import functional_call

from .. import checks
from ..adaptation import losses
from ..adaptation.differentiation.route import detached
from ..adaptation.labels import below
from ..adaptation.learner import Learner, Metrics
from ..adaptation.normalisation import on_support, prepare
from ..episodes import Episode, Examples, State
from .wrapped import Wrapped

_CODES = 0  # the random seed of the codes from which the support set's fakes are made


class TaskGenerator(nn.Module):
    """A generator of fake examples for a task, from noise and the mean embedding of the task's support set.

    Args:
        encoder: any `nn.Module` from examples `[n, ...]` to embeddings `[n, c]`. The mean embedding describes the task.
            Batch norm uses the statistics of the support set.
        decoder: any `nn.Module` from `[fakes, latent + c]` to one row for each fake, with as many numbers as an example
            has.
        latent: the number of noise values for each fake.
        fakes: the number of fakes for the support set. For the query set, the number of fakes is the number of rows of
            `episode.noise`.

    Raises:
        MapstoError: if `latent` or `fakes` is below 1, or the decoder's outputs do not have the size of an example.
    """

    codes: Tensor

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent: int, fakes: int = 5):
        super().__init__()
        checks.count(latent=latent, fakes=fakes)
        self.encoder, self.decoder = prepare(encoder), prepare(decoder)
        codes = torch.randn(fakes, latent, generator=torch.Generator().manual_seed(_CODES))
        self.register_buffer("codes", codes)

    def forward(self, support: Examples, z: Float[Tensor, "m z"]) -> Float[Tensor, "m ..."]:
        """Return a fake example for each row `z` of noise."""
        checks.shape(("fakes", self.codes.shape[-1]), "give `latent` numbers for each fake", noise=z)
        e, _ = on_support(self.encoder, {}, support.x, support.w)  # [n, c]
        mass = support.w.sum()
        h = support.w @ e / torch.where(mass > 0, mass, 1.0)  # [c]
        fakes = self.decoder(torch.cat([z, h.expand(len(z), -1)], -1))
        shape = support.x.shape[1:]
        size = fakes[0].numel()
        checks.expect(
            size == shape.numel(), "decoder", f"{size} numbers for each fake",
            f"{shape.numel()}, for an example of shape {tuple(shape)}",
        )  # fmt: skip
        return fakes.reshape(len(z), *shape)


class MetaGAN(Wrapped):
    """A classifier with one extra class for fake examples, trained together with the network that generates the fakes.

    Each episode needs noise `[fakes, latent]`, which `mapsto.tasks.WithNoise` adds. In training, the generator turns
    this noise into the fakes for the query set. It makes the fakes for the support set from fixed random numbers, so
    `adapt` needs no noise.

    Args:
        learner: a learner that scores `ways` + 1 classes, such as a `MAML` whose body has `ways` + 1 outputs, or a
            `PrototypicalNetwork` with `ways` + 1 classes. The last class is for fakes.
        generator: the `TaskGenerator` that makes the fakes.
        ways: the number of real classes. If the attribute `ways` is changed later, the learner's number of classes must
            change too.

    Raises:
        MapstoError: if `ways` is below 1, the learner is not a classifier of `ways` + 1 classes, or an episode has no
            noise.
    """

    family = "generative"

    def __init__(self, learner: Learner, generator: TaskGenerator, ways: int):
        super().__init__(learner)
        checks.count(ways=ways)
        loss = learner.loss_name
        checks.expect(loss == "cross_entropy", "learner", f"one with loss {loss!r}", "one with loss 'cross_entropy'")
        self.learner, self.generator, self.ways = learner, generator, ways

    @property
    def inner(self) -> Learner:
        """The wrapped learner, which scores `ways` + 1 classes."""
        return self.learner

    def adapt(self, support: Examples) -> State:
        """Return the learner's state after adapting to the support set and to fakes from the generator.

        Derivatives of the state treat the generator's parameters as constants.
        """
        self._check_classes(getattr(self.learner, "ways", self.ways + 1))
        x = functional_call(self.generator, _constants(self.generator), (support, self.generator.codes))
        w = (support.w.sum() / (self.ways * len(x))).expand(len(x))
        fakes, support = Examples(x, self._fake(x), w), support._replace(y=below(self.ways, support.y))
        return self.learner.adapt(Examples(*(torch.cat(pair) for pair in zip(support, fakes, strict=True))))

    def adapt_to(self, episode: Episode) -> State:
        """Return the learner's state after adapting to the episode's support set and to fakes from the generator."""
        return self.adapt(episode.support)

    def predict(self, state: State, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of the real classes for `n` rows."""
        return self._scores(state, x)[:, : self.ways]

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the sum of the learner's loss and the generator's loss.

        The learner's loss has no gradient with respect to the generator's parameters, and the generator's loss has none
        with respect to the learner's parameters.
        """
        noise, query = episode.noise, episode.query
        if noise is None:
            checks.expect(False, "noise", None, "[fakes, latent] in each episode", "wrap the tasks in WithNoise")
        state, fakes = self.adapt(episode.support), self.generator(episode.support, noise)
        v = (query.w.sum() / len(fakes)).expand(len(fakes))
        scores = self._scores(state, query.x)
        fake_loss = losses.cross_entropy(self._scores(state, fakes.detach()), self._fake(fakes), v)
        by_learner = losses.cross_entropy(scores, query.y, query.w) + fake_loss
        passed = _passing(functional_call(_Judge(self), _constants(self, "gan."), (detached(state), fakes)), self.ways)
        by_generator = -(v * passed).sum()
        metrics = {"loss": (by_learner + by_generator).detach(), "learner_loss": by_learner.detach()}
        metrics |= {"generator_loss": by_generator.detach(), "passed": passed.detach().exp().mean()}
        on_query = self.criterion.metrics(scores[:, : self.ways].detach(), query)
        return by_learner + by_generator, metrics | on_query

    def _scores(self, state: State, x: Tensor) -> Float[Tensor, "n k"]:
        scores = self.learner.predict(state, x)
        self._check_classes(scores.shape[-1])
        return scores

    def _check_classes(self, classes: int) -> None:
        checks.expect(
            classes == self.ways + 1, "learner", f"one with {classes} classes",
            f"{self.ways + 1} classes, of which the last is for fakes", "build it with ways + 1",
        )  # fmt: skip

    def _fake(self, x: Tensor) -> Int[Tensor, " n"]:
        return torch.full((len(x),), self.ways, device=x.device)


class _Judge(nn.Module):
    """The learner's scores as a module, because `functional_call` calls modules."""

    def __init__(self, gan: MetaGAN):
        super().__init__()
        self.gan = gan

    def forward(self, state: State, x: Tensor) -> Tensor:
        return self.gan._scores(state, x)


def _passing(scores: Float[Tensor, "n k"], ways: int) -> Float[Tensor, " n"]:
    """Return the log-probability that a row belongs to a real class, log Σ_{y≤N} p(y | x)."""
    return scores[:, :ways].logsumexp(-1) - scores.logsumexp(-1)


def _constants(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: p.detach() for name, p in module.named_parameters()}
