namespace Siglip.Core;

/// <summary>How gradients become new weights.</summary>
public enum SiglipOptimizer
{
    /// <summary>Adam with decoupled weight decay ("Decoupled Weight Decay Regularization", 2017), as torch.optim.AdamW.</summary>
    AdamW = 0,

    /// <summary>Stochastic gradient descent with or without momentum, as torch.optim.SGD: the weight decay is added to the gradient.</summary>
    Sgd = 1,
}
