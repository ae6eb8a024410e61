using TorchSharp;
using TorchSharp.Modules;

namespace Siglip.Core;

/// <summary>A module's parameters live as long as the module, even if it is created inside a dispose scope.</summary>
internal static class ParameterLifetime
{
    /// <summary>Takes parameters out of the open scope, to which those that torch's own modules did not create belong.</summary>
    public static void Detach(torch.nn.Module module)
    {
        foreach (Parameter parameter in module.parameters())
            parameter.DetachFromDisposeScope();
    }
}
