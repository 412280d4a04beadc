"""What Caffe refuses is refused here, by one line that names the layer or field and the reason."""

import pytest
from places import REFERENCE
from recordings import cases, inside

import protonet
from protonet.errors import ProtonetError

# What the line must say besides the place; one entry for every recorded case.
REASONS = {
    "refused_unknown_bottom": "layer 'l' (ReLU): bottom 'nothing' is not produced",
    "refused_unknown_type": "layer 'l': unknown layer type 'Rectify'",
    "refused_unknown_field": "no field 'slope'",
    "refused_unknown_enum": "MEDIAN",
    "refused_top_made_twice": "layer 'm' (TanH): top 'y' is already produced by layer 'l'",
    "refused_too_many_bottoms": "layer 'l' (ReLU): expected 1 bottom, got 2",
    "refused_too_few_bottoms": "layer 'l' (EuclideanLoss): expected 2 bottoms, got 1",
    "refused_too_few_tops": "layer 'l' (Sigmoid): expected 1 top, got 0",
    "refused_old_and_new_layers": "layers",
    "refused_eltwise_shapes": "layer 'l' (Eltwise)",
    "refused_eltwise_coeff_count": "layer 'l' (Eltwise)",
    "refused_eltwise_coeff_prod": "layer 'l' (Eltwise)",
    "refused_concat_shapes": "layer 'l' (Concat)",
    "refused_conv_no_kernel": "layer 'l' (Convolution)",
    "refused_conv_two_kernels": "layer 'l' (Convolution)",
    "refused_conv_group": "layer 'l' (Convolution)",
    "refused_conv_no_output": "layer 'l' (Convolution)",
    "refused_pool_no_kernel": "layer 'l' (Pooling)",
    "refused_pool_pad_as_kernel": "layer 'l' (Pooling)",
    "refused_pool_global_kernel": "layer 'l' (Pooling)",
    "refused_pool_three_axes": "layer 'l' (Pooling)",
    "refused_lrn_even": "layer 'l' (LRN)",
    "refused_slice_uneven": "layer 'l' (Slice)",
    "refused_slice_points": "layer 'l' (Slice)",
    "refused_reshape_count": "layer 'l' (Reshape)",
    "refused_reshape_two_unknown": "layer 'l' (Reshape)",
    "refused_crop_too_large": "layer 'l' (Crop)",
    "refused_loss_weight_count": "layer 'l' (Power): expected loss_weight",
    "refused_label_count": "layer 'l' (SoftmaxWithLoss)",
    "refused_euclid_count": "layer 'l' (EuclideanLoss)",
    "refused_accuracy_labels": "layer 'l' (Accuracy)",
    "refused_accuracy_top_k": "layer 'l' (Accuracy)",
    "refused_shared_shape": "layer 'm' (InnerProduct): parameter 'w' is shared",
    "refused_param_count": "layer 'l' (InnerProduct): expected at most 2 param entries",
    "refused_shared_lr": "layer 'm' (InnerProduct): shared parameter 'w'",
    "refused_include_and_exclude": "layer 'l' (ReLU): expected include or exclude",
    "refused_axis_out_of_range": "layer 'l' (Softmax)",
    "refused_no_such_file": "layer 'l' (Data)",
    "refused_clip_no_max": "max",
    "refused_filler_type": "layer 'l' (InnerProduct): unknown filler type 'normal'",
    "refused_bilinear_not_square": "layer 'l' (Deconvolution)",
    "refused_solver_lr_policy": "unknown lr_policy 'sometimes'",
    "refused_solver_solver_type": "unknown solver type 'Sgd'; did you mean 'SGD'?",
    "refused_solver_regularization": "expected regularization_type L1 or L2, got 'L3'",
    "refused_solver_adagrad_momentum": "the AdaGrad solver has no momentum",
    "refused_solver_rmsprop_momentum": "the RMSProp solver has no momentum",
    "refused_solver_rms_decay": "expected rms_decay",
    "refused_solver_step_size": "expected stepsize more than 0, got 0",
    "refused_solver_two_nets": "expected one of net, ",
    "refused_solver_test_interval": "expected a test_interval",
    "refused_solver_negative_gamma": "expected gamma 0 or more, got -0.5",
}


def by_name(kind):
    return [pytest.param(case, id=case["name"]) for case in cases(kind)]


def refused(case, build):
    path = case.get("net") or case["solver"]
    with inside(REFERENCE), pytest.raises(ProtonetError) as caught:
        build(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:"), message
    assert "\n" not in message
    assert REASONS[case["name"]] in message


@pytest.mark.parametrize("case", by_name("refused"))
def test_nets(case):
    refused(case, lambda path: protonet.Net(path, protonet.TEST))


@pytest.mark.parametrize("case", by_name("refused_solver"))
def test_solvers(case):
    refused(case, lambda path: protonet.get_solver(path).step(1))
