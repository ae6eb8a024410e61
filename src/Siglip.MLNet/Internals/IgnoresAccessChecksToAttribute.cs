#pragma warning disable IDE0130 // The runtime looks for the attribute under this name.
namespace System.Runtime.CompilerServices;

/// <summary>Tells the runtime that this assembly may use another one's non-public members.</summary>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
{
    public string AssemblyName { get; } = assemblyName;
}
