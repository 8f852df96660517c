"""Models get as many rows at a time as is fast, images with the channels last, and no row twice for its gradient."""

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto import explainers
from mapsto.asking import ask
from mapsto.games import fastest

X = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0))


class Recorded(nn.Module):
    """A smooth network that notes the batches it gets; `reshape` makes a row of an image's features."""

    def __init__(self, reshape: str = "flatten"):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.last = nn.Conv2d(2, 3, 3), nn.Linear(3 * 14 * 14, 2)
        self.reshape, self.asked = reshape, list[Tensor]()

    def forward(self, rows: Tensor) -> Tensor:
        self.asked.append(rows)
        h = self.conv(rows).tanh()
        return self.last(h.view(len(h), -1) if self.reshape == "view" else h.flatten(1)).sin()


def game(view: mt.games.View) -> mt.games.Game:
    return mt.views.game(view, X, groups=torch.arange(16).repeat(2, 16, 1) // 2)


def test_a_game_of_images_is_evaluated_in_chunks_that_do_not_change_its_values() -> None:
    net, one = Recorded().eval(), 64 * 16 * 16
    values = explainers.Shapley()(game(lambda x: net(x[None])[0, 1]))
    chunks = [len(rows) for rows in net.asked]
    assert fastest(X) == 2**22 // one == 256 and fastest(X, 5) == 2**22 // one // 5
    assert game(lambda x: x.sum()).selected(torch.sin).chunk_size == 256 and len(chunks) == 1
    whole = explainers.Shapley(chunk_size=100)(game(lambda x: net(x[None])[0, 1]))
    torch.testing.assert_close(values, whole)
    assert len(net.asked) - len(chunks) == 3 and values.abs().min() > 1e-3
    background = mt.views.game(lambda x: x.sum(), X, background=X[None].expand(4, *X.shape))
    assert background.chunk_size == 64


def test_codes_and_images_count_the_layers_that_read_them() -> None:
    assert fastest(torch.zeros(512, dtype=torch.long)) == 2**22 // (64 * 512)
    assert fastest(torch.zeros(128, 7, 7)) == 2**22 // (128 * 49)
    assert fastest(torch.zeros(3, 4000, 4000)) == fastest(torch.zeros(0), 2**30) == 1


def test_images_come_with_the_channels_last_unless_the_module_cannot_read_them_so() -> None:
    for reshape, last in (("flatten", True), ("view", False)):
        net = Recorded(reshape).eval()
        view = mt.views.model(net, target=1)
        values = explainers.Shapley()(game(view))
        assert net.asked[-1].is_contiguous(memory_format=torch.channels_last) is last
        plain = explainers.Shapley()(game(lambda x, net=net: net(x[None])[0, 1]))
        torch.testing.assert_close(values, plain)


def test_a_gradient_asks_once_for_each_row_and_can_be_differentiated_again() -> None:
    net = Recorded().double().eval()
    view, point = mt.views.model(net, target=1), X.double()
    view(point)  # asks about the first row several times
    before = len(net.asked)
    values = explainers.IntegratedGradients(32)(view, point)
    assert sum(len(rows) for rows in net.asked[before:]) == 32
    plain = lambda x: net(x[None])[0, 1]  # noqa: E731
    torch.testing.assert_close(values, explainers.IntegratedGradients(32)(plain, point))
    slope = lambda view: lambda x: torch.func.grad(view)(x).square().sum()  # noqa: E731
    for order in (slope, lambda view: slope(slope(view))):
        torch.testing.assert_close(torch.func.grad(order(view))(point), torch.func.grad(order(plain))(point))


def test_no_rows_have_no_scores() -> None:
    assert ask(lambda rows: rows.sum(1), 4, torch.zeros(0, 3)).shape == (0,)


def test_rows_that_require_a_gradient_have_scores_of_models_without_one() -> None:
    view = mt.views.model(lambda rows: rows.detach().numpy().sum(1), target=None)
    column = mt.views.model(lambda rows: rows.detach().numpy(), target=0)
    point = torch.tensor([1.0, 2.0], requires_grad=True)
    assert view(point).item() == 3 and column(point).item() == 1
