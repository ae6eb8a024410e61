using System.CommandLine;
using Siglip.Cli;

var root = new RootCommand("SigLIP image embeddings, classifiers on top of them, and training, from a shell.")
{
    TrainVerb.Create(),
    EvaluateVerb.Create(),
    PredictVerb.Create(),
    EmbedVerb.Create(),
    ForwardVerb.Create(),
    FinetuneVerb.Create(),
    ExplainVerb.Create(),
    ExportOnnxVerb.Create(),
    InfoVerb.Create(),
};
int exitCode = await CommandLineRunner.RunAsync(root, args);
CommandLineRunner.EndNow(exitCode);
return exitCode;
