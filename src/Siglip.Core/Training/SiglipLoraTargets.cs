namespace Siglip.Core;

/// <summary>Weight matrices of an encoder layer.</summary>
[Flags]
public enum SiglipLoraTargets
{
    /// <summary>No matrix.</summary>
    None = 0,

    /// <summary><c>self_attn.q_proj</c>.</summary>
    Query = 1,

    /// <summary><c>self_attn.k_proj</c>.</summary>
    Key = 2,

    /// <summary><c>self_attn.v_proj</c>.</summary>
    Value = 4,

    /// <summary><c>self_attn.out_proj</c>.</summary>
    Output = 8,

    /// <summary>The four of the attention.</summary>
    Attention = Query | Key | Value | Output,

    /// <summary><c>mlp.fc1</c> and <c>mlp.fc2</c>.</summary>
    Mlp = 16,

    /// <summary>All.</summary>
    All = Attention | Mlp,
}
