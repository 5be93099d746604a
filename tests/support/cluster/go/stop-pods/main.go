// Command stop-pods stops and removes every pod of one container runtime, so that the runtime
// itself undoes their networks, mounts and cgroups. Argument: the runtime's socket path.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "stop-pods:", err)
		os.Exit(1)
	}
}

func run(socket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	runtime := cri.NewRuntimeServiceClient(conn)
	if err := removeContainers(ctx, runtime); err != nil {
		return err
	}
	pods, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if _, err := runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
			return err
		}
		if _, err := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
			return err
		}
	}
	fmt.Printf("stopped %d pods\n", len(pods.Items))
	return nil
}

func removeContainers(ctx context.Context, runtime cri.RuntimeServiceClient) error {
	containers, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return err
	}
	for _, container := range containers.Containers {
		// Timeout 0: killed at once, since the whole cluster goes.
		if _, err := runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: container.Id}); err != nil {
			return err
		}
		if _, err := runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: container.Id}); err != nil {
			return err
		}
	}
	return nil
}
