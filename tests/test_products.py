"""Products of which many share one factor: the same numbers as `@`, any number of slopes, and no copies."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from mapsto.products import product


def factors(*batch):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(*batch, *shape, generator=generator, dtype=torch.float64) for shape in ((2, 3, 4), (2, 4, 5)))


def test_slopes_of_any_order():
    a, b = (factor.requires_grad_() for factor in factors())
    gradcheck(product, (a, b), check_forward_ad=True)
    gradgradcheck(product, (a, b))


@pytest.mark.parametrize(("one", "other"), [d for d in itertools.product((None, 0, 1, -1), repeat=2) if any(d)])
def test_mapped_over_any_axis_as_one_by_one(one, other):
    (a, b), (many_a, many_b) = factors(), factors(6)
    placed = [x if dim is None else many.movedim(0, dim) for dim, x, many in ((one, a, many_a), (other, b, many_b))]
    expected = (a if one is None else many_a) @ (b if other is None else many_b)
    torch.testing.assert_close(vmap(product, (one, other))(*placed), expected)


def test_mapped_twice_and_with_slopes():
    many, b = torch.randn(6, 7, 2, 3, 4, dtype=torch.float64), next(itertools.islice(factors(), 1, None))

    def score(a):
        return product(product(a, b).tanh(), b.mT).square().sum()

    def plain(a):
        return ((a @ b).tanh() @ b.mT).square().sum()

    torch.testing.assert_close(vmap(vmap(grad(score)))(many), vmap(vmap(grad(plain)))(many))
    curved = [vmap(vmap(lambda a, f=f: jvp(grad(f), (a,), (a,))[1]))(many) for f in (score, plain)]
    torch.testing.assert_close(*curved)


class Largest(TorchDispatchMode):
    """Keeps the size of the largest tensor that any operation returned."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        if isinstance(out, torch.Tensor):
            self.size = max(self.size, out.untyped_storage().nbytes() // out.element_size())
        return out


@pytest.mark.parametrize(("multiply", "copies"), [(product, False), (torch.matmul, True)])  # the second: a mutant
def test_what_is_shared_is_not_copied(multiply, copies):
    shared, many = torch.randn(2, 50, 60), torch.randn(64, 2, 1, 50)
    with Largest() as made:
        vmap(grad(lambda a: multiply(a, shared).sum()))(many)
    assert (made.size >= 64 * shared.numel()) == copies
