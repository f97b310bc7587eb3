// Command quarterturn-beam does what quarterturn score does as an Apache Beam
// pipeline, for those who outgrow one machine:
//
//	quarterturn-beam --model model.slab --out lines.jsonl PATH...
//
// Without more it runs in this process, on Beam's prism runner. With --runner and
// what that runner needs, the same program submits itself to Flink, Spark or Google
// Cloud Dataflow. Paths are folders, tar files and image files that every worker
// sees, or patterns of a bucket: gs://bucket/pictures/**, or s3://bucket/pictures/*, where a pattern
// has one depth. Access is set as for Google's and Amazon's own tools.
//
// With --shards N lines go to N files, as those of quarterturn score --shard. Whatever
// the runner, they are byte for byte what quarterturn score writes.
//
// It is a module of its own: Beam brings more dependencies than all the rest.
package main
