"""Teach a learner to tell each task's classes from fakes made for that task, so that their boundaries grow sharper.

    fakes = G(z, h),   h = Σ_i w_i·e(x_i) / Σ_i w_i              the generator sees the noise and the support set's mean
    state = adapt(support ∪ G(codes, h)), the fakes being class N + 1 of N
    L_D = Σ_query w·(−log p(y | x)) + v·Σ_fakes (−log p(N+1 | fake))        for the learner, the fakes held fixed
    L_G = v·Σ_fakes (−log Σ_{y≤N} p(y | fake))                              for the generator, the learner held fixed

Zhang, Che, Ghahramani, Bengio & Song 2018, "MetaGAN: An Adversarial Approach to Few-Shot Learning", eq. 1 to 4: their
supervised and unsupervised terms, −log p(y | x, y ≤ N) − log p(y ≤ N | x), are −log p(y | x). Salimans et al. 2016,
"Improved Techniques for Training GANs", §5, has the class for fakes.

The min-max is one loss, L_D + L_G, in which each part is cut off from the other's parameters (`detach`), so that one
step of any optimizer moves the learner down L_D and the generator down L_G. Where we depart: both move at once, not in
turns; the fakes of the support set come from fixed codes, so that adapting needs no noise, and weigh as much as one
class; on prototypes, where the paper has relation networks, the fakes have a prototype. The semi-supervised term, in
which unlabelled examples count as real, is left out.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from ..adaptation import losses
from ..adaptation.differentiation.route import detached
from ..adaptation.labels import below
from ..adaptation.learner import Learner, Metrics
from ..adaptation.normalisation import on_support, prepare
from ..episodes import Episode, Examples, State
from ..errors import MapstoError

_CODES = 0  # seed of the codes from which the support set's fakes are made


class TaskGenerator(nn.Module):
    """Noise and a support set ↦ fakes of its examples.

    Args:
        encoder: any `nn.Module` from examples `[n, ...]` to `[n, c]`, whose mean tells the generator the task; its
            batch-norm layers normalise by the support set.
        decoder: any `nn.Module` from `[fakes, latent + c]` to as many numbers as an example has.
        latent: numbers of noise that a fake is made from.
        fakes: made for the support set; for the query set as many as `episode.noise` has rows.

    Raises:
        MapstoError: `latent` or `fakes` below 1, or a decoder whose outputs are no examples.
    """

    codes: Tensor

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent: int, fakes: int = 5):
        super().__init__()
        if min(latent, fakes) < 1:
            raise MapstoError(f"latent, fakes: got {latent} and {fakes}, expected at least 1.")
        self.encoder, self.decoder = prepare(encoder), prepare(decoder)
        codes = torch.randn(fakes, latent, generator=torch.Generator().manual_seed(_CODES))
        self.register_buffer("codes", codes)

    def forward(self, support: Examples, z: Float[Tensor, "m z"]) -> Float[Tensor, "m ..."]:
        """Make a fake example from each row of noise."""
        if z.shape[-1] != self.codes.shape[-1]:
            raise MapstoError(f"noise: got {z.shape[-1]} numbers a row, expected latent={self.codes.shape[-1]}.")
        e, _ = on_support(self.encoder, {}, support.x, support.w)  # [n, c]
        mass = support.w.sum()
        h = support.w @ e / torch.where(mass > 0, mass, 1.0)  # [c]
        made = self.decoder(torch.cat([z, h.expand(len(z), -1)], -1))
        shape = support.x.shape[1:]
        if made[0].numel() != shape.numel():
            raise MapstoError(
                f"decoder: got {made[0].numel()} numbers a fake, expected {shape.numel()}, those of an example of "
                f"shape {tuple(shape)}."
            )
        return made.reshape(len(z), *shape)


class MetaGAN(Learner):
    """A learner of N + 1 classes, the last for fakes, and the generator that tries to pass them off as the others.

    Episodes bring the noise of the query set's fakes, `[fakes, latent]`: see `mapsto.tasks.WithNoise`.

    Args:
        learner: scores `ways` + 1 classes: a `MAML` whose body has as many outputs, a `PrototypicalNetwork` with as
            many ways.
        generator: makes the fakes.
        ways: the number of true classes; may be changed with that of the learner.

    Raises:
        MapstoError: `ways` below 1, a learner of no classes or of another number, or episodes without noise.
    """

    family = "generative"

    def __init__(self, learner: Learner, generator: TaskGenerator, ways: int):
        super().__init__()
        if ways < 1:
            raise MapstoError(f"ways: got {ways}, expected at least 1 class.")
        if learner.loss_name != "cross_entropy":
            raise MapstoError(f"learner: got one with loss {learner.loss_name!r}, expected one of classes.")
        self.learner, self.generator, self.ways = learner, generator, ways
        self.transductive = learner.transductive

    def adapt(self, support: Examples) -> State:
        """Adapt the learner to the support set and to fakes of it, at which the generator learns nothing."""
        self._one_more(getattr(self.learner, "ways", self.ways + 1))
        x = functional_call(self.generator, _constants(self.generator), (support, self.generator.codes))
        w = (support.w.sum() / (self.ways * len(x))).expand(len(x))
        fakes, support = Examples(x, self._fake(x), w), support._replace(y=below(self.ways, support.y))
        return self.learner.adapt(Examples(*(torch.cat(pair) for pair in zip(support, fakes, strict=True))))

    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Score the true classes."""
        return self._scores(state, x)[:, : self.ways]

    def features(self, state: State, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name what the learner names."""
        return self.learner.features(state, x)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the learner's loss plus the generator's, each cut off from the other's parameters."""
        if episode.noise is None:
            raise MapstoError(
                "noise: got an episode without any, expected [fakes, latent]; wrap the tasks in WithNoise."
            )
        state, query = self.adapt(episode.support), episode.query
        fakes = self.generator(episode.support, episode.noise)
        v = (query.w.sum() / len(fakes)).expand(len(fakes))
        scores = self._scores(state, query.x)
        told_apart = losses.cross_entropy(self._scores(state, fakes.detach()), self._fake(fakes), v)
        by_learner = losses.cross_entropy(scores, query.y, query.w) + told_apart
        passed = _passing(functional_call(_Judge(self), _constants(self, "gan."), (detached(state), fakes)), self.ways)
        by_generator = -(v * passed).sum()
        metrics = {"loss": (by_learner + by_generator).detach(), "learner_loss": by_learner.detach()}
        metrics |= {"generator_loss": by_generator.detach(), "passed": passed.detach().exp().mean()}
        seen = losses.METRICS[self.loss_name](scores[:, : self.ways].detach(), query)
        return by_learner + by_generator, metrics | seen

    def _scores(self, state: State, x: Tensor) -> Float[Tensor, "n k"]:
        scores = self.learner.predict(state, x)
        self._one_more(scores.shape[-1])
        return scores

    def _one_more(self, classes: int) -> None:
        if classes != self.ways + 1:
            raise MapstoError(
                f"learner: got one of {classes} classes, expected {self.ways + 1}, of which the last is for fakes; "
                "give it ways + 1."
            )

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
    """Return log Σ_{y≤N} p(y | x)."""
    return scores[:, :ways].logsumexp(-1) - scores.logsumexp(-1)


def _constants(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: p.detach() for name, p in module.named_parameters()}
