using System.CommandLine;
using Siglip.Bench;

var root = new RootCommand("Measures Siglip.MLNet. Each verb is one comparison and writes its figures to bench/results.")
{
    ResizeBenchmark.Create(),
    PassesBenchmark.Create(),
    SavedModelBenchmark.Create(),
    SoakBenchmark.Create(),
    TrainStepBenchmark.Create(),
    ModelsBenchmark.Create(),
    GrowthBenchmark.Create(),
    MemoryBenchmark.Create(),
    AccuracyBenchmark.Create(),
    PerformancePage.CreateAll(),
    PerformancePage.CreatePage(),
    Peer.Create(),
    StartupBenchmark.Create(),
    PipelineBenchmark.Create(),
};
return await root.Parse(args).InvokeAsync();
